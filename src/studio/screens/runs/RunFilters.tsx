import { useAssistants } from '../../data/assistants.ts';
import type { ResultOf } from '../../data/graphql.ts';
import { IconButton } from '../../ui/Button.tsx';
import { Id } from '../../ui/Id.tsx';
import { Toolbar } from '../../ui/Screen.tsx';
import { GraphFilter } from '../filters/GraphFilter.tsx';
import { StatusFilter } from '../filters/StatusFilter.tsx';
import type { COUNT_RUNS } from './documents.ts';
import classes from './runs.module.css';
import { RUN_STATUSES, type RunsSearch } from './search.ts';

interface RunFiltersProps {
  search: RunsSearch;
  counts: ResultOf<typeof COUNT_RUNS>['runCounts'] | undefined;
  onChange: (change: Partial<RunsSearch>) => void;
}

/** The filters of the list, with the number of runs of each status. */
export function RunFilters({ search, counts, onChange }: RunFiltersProps) {
  const assistants = useAssistants();
  return (
    <Toolbar>
      <StatusFilter
        statuses={RUN_STATUSES}
        chosen={search.status}
        counts={counts}
        onChange={(status) => onChange({ status })}
      />
      <GraphFilter graph={search.graph} onChange={(graph) => onChange({ graph })} />
      <select
        aria-label="Assistant"
        value={search.assistant ?? ''}
        onChange={(event) => onChange({ assistant: event.target.value || undefined })}
      >
        <option value="">All assistants</option>
        {assistants?.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
      {search.thread && (
        <span className={classes['thread']}>
          Thread <Id id={search.thread} name="thread" />
          <IconButton
            icon="close"
            label="Runs of all threads"
            isSmall
            onClick={() => onChange({ thread: undefined })}
          />
        </span>
      )}
    </Toolbar>
  );
}
