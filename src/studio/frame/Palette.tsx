import { useNavigate } from '@tanstack/react-router';
import { useEffect, useId, useState, type KeyboardEvent } from 'react';
import { graphql, type ResultOf } from '../data/graphql.ts';
import { isUuid } from '../data/ids.ts';
import { useApi } from '../data/provider.tsx';
import { Dialog } from '../ui/Dialog.tsx';
import { Icon, type IconName } from '../ui/Icon.tsx';
import { PLACES } from './navigation.ts';
import classes from './Palette.module.css';

const FIND = graphql(`
  query Find($id: ID!) {
    node(id: $id) {
      __typename
      id
      ... on Run {
        threadId
      }
    }
  }
`);

interface Choice {
  icon: IconName;
  name: string;
  hint: string;
  href: string;
}

/** Goes anywhere by name, or to any object by its id. */
export function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const found = useObject(text.trim());
  const navigate = useNavigate();
  const list = useId();
  const choices = [...found, ...placesFor(text)];
  const chosen = choices[Math.min(at, choices.length - 1)];

  function go({ href }: Choice): void {
    onClose();
    void navigate({ href });
  }

  function onKeyDown(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setAt((at + step + choices.length) % Math.max(1, choices.length));
    } else if (event.key === 'Enter' && chosen) go(chosen);
  }

  return (
    <Dialog title="Go to" onClose={onClose}>
      <input
        className={classes['input']}
        role="combobox"
        aria-label="An id, or the name of a place"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={chosen ? `${list}-${choices.indexOf(chosen)}` : undefined}
        placeholder="Any id of a thread, run or assistant, or a place"
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <div id={list} role="listbox" aria-label="Results" className={classes['list']}>
        {choices.map((choice, index) => (
          <div
            key={choice.href}
            id={`${list}-${index}`}
            role="option"
            aria-selected={choice === chosen}
            className={classes['option']}
            onPointerUp={() => go(choice)}
          >
            <Icon name={choice.icon} />
            {choice.name}
            <span className={classes['hint']}>{choice.hint}</span>
          </div>
        ))}
      </div>
      {choices.length === 0 && <p role="status">No object has this id, and no place this name.</p>}
    </Dialog>
  );
}

function placesFor(text: string): Choice[] {
  return PLACES.filter(({ name }) => name.toLowerCase().includes(text.trim().toLowerCase())).map(
    ({ name, icon, path, keys }) => ({ name, icon, href: path, hint: keys }),
  );
}

/** The object with this id: ids are unique over all types. */
function useObject(id: string): Choice[] {
  const api = useApi();
  const [found, setFound] = useState<{ id: string; choice: Choice } | undefined>(undefined);
  useEffect(() => {
    if (!isUuid(id)) return undefined;
    let isCurrent = true;
    void api.query(FIND, { id }).then(({ data }) => {
      const choice = data?.node && choiceOf(data.node);
      if (isCurrent && choice) setFound({ id, choice });
    });
    return () => void (isCurrent = false);
  }, [api, id]);
  return found?.id === id ? [found.choice] : [];
}

function choiceOf(node: NonNullable<ResultOf<typeof FIND>['node']>): Choice | undefined {
  const { id: hint } = node;
  switch (node.__typename) {
    case 'Thread':
      return { icon: 'threads', name: 'Thread', hint, href: `/threads/${hint}` };
    case 'Assistant':
      return { icon: 'assistants', name: 'Assistant', hint, href: `/assistants/${hint}` };
    case 'Run': {
      const href = node.threadId ? `/threads/${node.threadId}?view=runs&run=${hint}` : '/runs';
      return { icon: 'runs', name: 'Run', hint, href };
    }
    default:
      return undefined;
  }
}
