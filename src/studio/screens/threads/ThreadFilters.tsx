import { useId, useRef } from 'react';
import { useQuery } from 'urql';
import { useReload } from '../../data/feed.tsx';
import { useShortcuts } from '../../frame/shortcuts.ts';
import { Icon } from '../../ui/Icon.tsx';
import { Chip, list, Toolbar } from '../../ui/Screen.tsx';
import { STATUS } from '../../ui/Status.tsx';
import { useDraft } from '../../ui/useDraft.ts';
import { COUNT_THREADS } from './documents.ts';
import { readMetadata, threadFilter } from './filter.ts';
import classes from './threads.module.css';
import { STATUSES, type ThreadsSearch } from './search.ts';

interface ThreadFiltersProps {
  search: ThreadsSearch;
  onChange: (change: Partial<ThreadsSearch>) => void;
}

/** The filters of the list, with the number of threads of each status. */
export function ThreadFilters({ search, onChange }: ThreadFiltersProps) {
  const filter = threadFilter({ ...search, status: undefined });
  const [{ data }, read] = useQuery({ query: COUNT_THREADS, variables: { filter } });
  useReload(
    () => read({ requestPolicy: 'network-only' }),
    () => true,
  );
  const find = useRef<HTMLInputElement>(null);
  const [text, setText] = useDraft(search.find ?? '', (next) =>
    onChange({ find: next || undefined }),
  );
  useShortcuts({ '/': () => find.current?.focus() });
  const numbers = new Map(data?.threadCounts?.map(({ status, count }) => [status, count]));
  const chosen = search.status ?? [];

  return (
    <Toolbar>
      <label className={classes['find']}>
        <Icon name="search" />
        <span className="visually-hidden">Find threads by id or by words of their metadata</span>
        <input
          ref={find}
          type="search"
          placeholder="Id, or words of the metadata"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </label>
      <fieldset className={list.chips}>
        <legend className="visually-hidden">Status</legend>
        {STATUSES.map((status) => (
          <Chip
            key={status}
            isOn={chosen.includes(status)}
            number={data && (numbers.get(status) ?? 0)}
            onToggle={() => onChange({ status: toggled(chosen, status) })}
          >
            {STATUS[status].word}
          </Chip>
        ))}
      </fieldset>
      <select
        aria-label="Graph"
        value={search.graph ?? ''}
        onChange={(event) => onChange({ graph: event.target.value || undefined })}
      >
        <option value="">All graphs</option>
        {data?.graphs.map(({ id }) => (
          <option key={id} value={id}>
            {id}
          </option>
        ))}
      </select>
      <MetadataFilter text={search.meta ?? ''} onChange={(meta) => onChange({ meta })} />
    </Toolbar>
  );
}

function MetadataFilter({
  text,
  onChange,
}: {
  text: string;
  onChange: (text: string | undefined) => void;
}) {
  const [draft, setDraft] = useDraft(text, (next) => onChange(next || undefined), 500);
  const { error } = readMetadata(draft);
  const errorId = useId();
  return (
    <span className={classes['metadata']}>
      <input
        aria-label="Metadata, as key=value or JSON"
        placeholder="Metadata: key=value"
        value={draft}
        aria-invalid={error !== undefined}
        aria-describedby={error ? errorId : undefined}
        onChange={(event) => setDraft(event.target.value)}
      />
      {error && (
        <span id={errorId} className={classes['wrong']}>
          {error}
        </span>
      )}
    </span>
  );
}

type Status = (typeof STATUSES)[number];

function toggled(chosen: readonly Status[], status: Status): Status[] | undefined {
  const next = chosen.includes(status)
    ? chosen.filter((each) => each !== status)
    : [...chosen, status];
  return next.length > 0 ? next : undefined;
}
