import { useRef } from 'react';
import { useQuery } from 'urql';
import { useReload } from '../../data/feed.tsx';
import { useShortcuts } from '../../frame/shortcuts.ts';
import { Icon } from '../../ui/Icon.tsx';
import { Toolbar } from '../../ui/Screen.tsx';
import { useDraft } from '../../ui/useDraft.ts';
import { GraphFilter } from '../filters/GraphFilter.tsx';
import { MetadataFilter } from '../filters/MetadataFilter.tsx';
import { StatusFilter } from '../filters/StatusFilter.tsx';
import { COUNT_THREADS } from './documents.ts';
import { threadFilter } from './filter.ts';
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
  useReload(read);
  const find = useRef<HTMLInputElement>(null);
  const [text, setText] = useDraft(search.find ?? '', (next) =>
    onChange({ find: next || undefined }),
  );
  useShortcuts({ '/': () => find.current?.focus() });

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
      <StatusFilter
        statuses={STATUSES}
        chosen={search.status}
        counts={data?.threadCounts}
        onChange={(status) => onChange({ status })}
      />
      <GraphFilter graph={search.graph} onChange={(graph) => onChange({ graph })} />
      <MetadataFilter text={search.meta} onChange={(meta) => onChange({ meta })} />
    </Toolbar>
  );
}
