import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { useQuery } from 'urql';
import { useMayWrite } from '../../data/viewer.ts';
import { useShortcuts } from '../../frame/shortcuts.ts';
import { Button } from '../../ui/Button.tsx';
import { Id } from '../../ui/Id.tsx';
import { Empty, ErrorNote, Loading } from '../../ui/Notes.tsx';
import { countOf, list, Pager, Screen, Toolbar } from '../../ui/Screen.tsx';
import { Time } from '../../ui/Time.tsx';
import { useDraft } from '../../ui/useDraft.ts';
import { useRows } from '../../ui/useRows.ts';
import { GraphFilter } from '../filters/GraphFilter.tsx';
import { pageOf } from '../filters/page.ts';
import classes from './assistants.module.css';
import { LIST_ASSISTANTS, type ListedAssistant } from './documents.ts';
import { NewAssistant } from './NewAssistant.tsx';
import type { AssistantsSearch } from './search.ts';

/** The table of assistants: graphs with their configurations. */
export function AssistantsScreen() {
  const search = useSearch({ from: '/assistants' });
  const navigate = useNavigate({ from: '/assistants' });
  const [isCreating, setCreating] = useState(false);
  const [{ data, error }] = useQuery({
    query: LIST_ASSISTANTS,
    variables: variablesOf(search),
    requestPolicy: 'cache-and-network',
  });
  const mayWrite = useMayWrite();
  useShortcuts({ n: () => mayWrite && setCreating(true) });
  const assistants = data?.assistants?.nodes ?? [];

  function change(next: Partial<AssistantsSearch>): void {
    void navigate({ search: { ...search, after: undefined, before: undefined, ...next } });
  }

  return (
    <Screen
      title="Assistants"
      count={data?.assistants && countOf(data.assistants.totalCount)}
      actions={
        mayWrite && (
          <Button
            look="primary"
            icon="plus"
            title="New assistant (n)"
            onClick={() => setCreating(true)}
          >
            New assistant
          </Button>
        )
      }
    >
      <Filters search={search} onChange={change} />
      <ErrorNote error={error} className={list.note} />
      {!data && !error && <Loading />}
      {data && assistants.length === 0 && (
        <Empty icon="assistants" title="No assistant matches">
          <p>
            An <strong>assistant</strong> is a graph with a configuration. Each graph has a default
            one.
          </p>
          <Button onClick={() => void navigate({ search: {} })}>Remove the filters</Button>
        </Empty>
      )}
      {assistants.length > 0 && <AssistantTable assistants={assistants} />}
      <Pager
        page={data?.assistants?.pageInfo}
        isFirst={!search.after && !search.before}
        onMove={change}
      />
      {isCreating && <NewAssistant onClose={() => setCreating(false)} />}
    </Screen>
  );
}

function variablesOf({ graph, find, ...cursors }: AssistantsSearch) {
  return {
    filter: { ...(graph && { graphId: graph }), ...(find && { name: find }) },
    ...pageOf(cursors),
  };
}

interface FiltersProps {
  search: AssistantsSearch;
  onChange: (change: Partial<AssistantsSearch>) => void;
}

function Filters({ search, onChange }: FiltersProps) {
  const find = useRef<HTMLInputElement>(null);
  const [text, setText] = useDraft(search.find ?? '', (next) =>
    onChange({ find: next || undefined }),
  );
  useShortcuts({ '/': () => find.current?.focus() });
  return (
    <Toolbar>
      <input
        ref={find}
        type="search"
        aria-label="Find assistants by name"
        placeholder="Name"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <GraphFilter graph={search.graph} onChange={(graph) => onChange({ graph })} />
    </Toolbar>
  );
}

function AssistantTable({ assistants }: { assistants: readonly ListedAssistant[] }) {
  const navigate = useNavigate();
  const selected = useRows(assistants.length, (index) => {
    const { id } = assistants[index] ?? {};
    if (id) void navigate({ to: '/assistants/$assistantId', params: { assistantId: id } });
  });
  return (
    <div className={list.box}>
      <table className={list.table}>
        <thead>
          <tr>
            <th>Name</th>
            <th>Graph</th>
            <th>Version</th>
            <th>Updated</th>
            <th className={list.wide}>Id</th>
          </tr>
        </thead>
        <tbody>
          {assistants.map((each, index) => (
            <tr key={each.id} data-row={index} data-selected={index === selected}>
              <td>
                <Link
                  to="/assistants/$assistantId"
                  params={{ assistantId: each.id }}
                  className={classes['name']}
                >
                  {each.name ?? 'Untitled'}
                </Link>
                {each.metadata['created_by'] === 'system' && (
                  <span className={classes['mark']}>default</span>
                )}
                {each.description && (
                  <span className={classes['description']}>{each.description}</span>
                )}
              </td>
              <td>{each.graphId}</td>
              <td className={list.number}>{each.version}</td>
              <td className={list.number}>
                <Time value={each.updatedAt} />
              </td>
              <td className={list.wide}>
                <Id id={each.id} name="assistant" />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
