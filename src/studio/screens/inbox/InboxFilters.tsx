import { useId } from 'react';
import { Toolbar } from '../../ui/Screen.tsx';
import { useDraft } from '../../ui/useDraft.ts';
import { readMetadata } from '../threads/filter.ts';
import classes from './inbox.module.css';
import type { InboxSearch } from './search.ts';

interface InboxFiltersProps {
  search: InboxSearch;
  graphs: readonly string[];
  onChange: (change: Partial<InboxSearch>) => void;
}

/** Only questions of a graph, or of threads with some metadata. */
export function InboxFilters({ search, graphs, onChange }: InboxFiltersProps) {
  const [draft, setDraft] = useDraft(
    search.meta ?? '',
    (meta) => onChange({ meta: meta || undefined }),
    500,
  );
  const { error } = readMetadata(draft);
  const errorId = useId();
  return (
    <Toolbar>
      <select
        aria-label="Graph"
        value={search.graph ?? ''}
        onChange={(event) => onChange({ graph: event.target.value || undefined })}
      >
        <option value="">All graphs</option>
        {graphs.map((id) => (
          <option key={id}>{id}</option>
        ))}
      </select>
      <input
        aria-label="Metadata of the thread, as key=value or JSON"
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
    </Toolbar>
  );
}
