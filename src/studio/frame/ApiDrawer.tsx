import { useState } from 'react';
import { API_URL } from '../data/address.ts';
import { operations, type SentOperation } from '../data/operations.ts';
import { session } from '../data/session.ts';
import { useValue } from '../data/store.ts';
import { IconButton } from '../ui/Button.tsx';
import { CopyButton } from '../ui/CopyButton.tsx';
import { Icon } from '../ui/Icon.tsx';
import { showJson } from '../ui/json/parse.ts';
import { Chip, list } from '../ui/Screen.tsx';
import { duration } from '../ui/Time.tsx';
import { byteSize, curlOf, graphiqlUrl } from './api-copy.ts';
import classes from './ApiDrawer.module.css';

const KINDS = {
  query: 'Queries',
  mutation: 'Mutations',
  subscription: 'Subscriptions',
} as const satisfies Record<SentOperation['kind'], string>;

/** The operations that this page has sent, beside the screen: each of them can be copied. */
export function ApiDrawer({ onClose }: { onClose: () => void }) {
  const sent = useValue(operations);
  const [kind, setKind] = useState<SentOperation['kind'] | undefined>(undefined);
  const shown = sent.filter((each) => kind === undefined || each.kind === kind);
  return (
    <aside className={classes['drawer']} aria-label="API">
      <div className={classes['head']}>
        <h2>API</h2>
        <a href={API_URL} target="_blank" rel="noreferrer">
          GraphiQL
        </a>
        <IconButton icon="close" label="Close (a)" onClick={onClose} />
      </div>
      <p className={classes['lead']}>
        All that this page does goes through the API. These are its operations, newest first.
      </p>
      <fieldset className={`${list.chips} ${classes['kinds']}`}>
        <legend className="visually-hidden">Kind</legend>
        {(Object.keys(KINDS) as SentOperation['kind'][]).map((each) => (
          <Chip
            key={each}
            isOn={kind === each}
            number={sent.filter((operation) => operation.kind === each).length}
            onToggle={() => setKind(kind === each ? undefined : each)}
          >
            {KINDS[each]}
          </Chip>
        ))}
      </fieldset>
      {shown.length === 0 && <p className={classes['lead']}>The page has sent none of these.</p>}
      <ol className={classes['list']}>
        {shown.map((operation) => (
          <li key={operation.id}>
            <Operation operation={operation} />
          </li>
        ))}
      </ol>
    </aside>
  );
}

function Operation({ operation }: { operation: SentOperation }) {
  const [isOpen, setOpen] = useState(false);
  const { kind, name, at, error } = operation;
  return (
    <details
      className={classes['operation']}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>
        <Icon name={isOpen ? 'down' : 'right'} size={13} />
        <span className={classes['kind']} data-kind={kind}>
          {kind}
        </span>
        <span className={classes['name']}>{name || 'without a name'}</span>
        <time dateTime={new Date(at).toISOString()}>{clock(at)}</time>
        <span className={classes['measures']}>{measures(operation)}</span>
        {error && <span className={classes['error']}>{error}</span>}
      </summary>
      {isOpen && <Details operation={operation} />}
    </details>
  );
}

function Details({ operation }: { operation: SentOperation }) {
  const { credential } = useValue(session);
  const { document, variables } = operation;
  const graphiql = graphiqlUrl(operation, API_URL);
  const curl = () => curlOf(operation, { url: API_URL, credential: credential?.kind });
  return (
    <div className={classes['details']}>
      <div className={classes['copies']}>
        GraphQL <CopyButton text={document} label="Copy as GraphQL" />
        curl <CopyButton text={curl} label="Copy as curl" />
        {graphiql ? (
          <a href={graphiql} target="_blank" rel="noreferrer">
            Open in GraphiQL
          </a>
        ) : (
          <span>Too long for a link to GraphiQL</span>
        )}
      </div>
      <pre tabIndex={0} aria-label="Document">
        {document}
      </pre>
      {Object.keys(variables).length > 0 && (
        <pre tabIndex={0} aria-label="Variables">
          {showJson(variables)}
        </pre>
      )}
    </div>
  );
}

function measures({ kind, ms, bytes, messages }: SentOperation): string {
  if (kind === 'subscription') {
    const count = `${messages} ${messages === 1 ? 'message' : 'messages'}`;
    return `${ms === undefined ? 'open' : 'ended'} · ${count} · ${byteSize(bytes)}`;
  }
  return ms === undefined ? 'sent' : `${duration(ms)} · ${byteSize(bytes)}`;
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

function clock(at: number): string {
  return CLOCK.format(at);
}
