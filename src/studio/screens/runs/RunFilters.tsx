import type { ResultOf } from '../../data/graphql.ts';
import { IconButton } from '../../ui/Button.tsx';
import { Id } from '../../ui/Id.tsx';
import { Chip, list, Toolbar } from '../../ui/Screen.tsx';
import { STATUS } from '../../ui/Status.tsx';
import type { COUNT_RUNS } from './documents.ts';
import classes from './runs.module.css';
import { RUN_STATUSES, type RunsSearch } from './search.ts';

interface RunFiltersProps {
  search: RunsSearch;
  counted: ResultOf<typeof COUNT_RUNS> | undefined;
  onChange: (change: Partial<RunsSearch>) => void;
}

/** The filters of the list, with the number of runs of each status. */
export function RunFilters({ search, counted, onChange }: RunFiltersProps) {
  const numbers = new Map(counted?.runCounts?.map(({ status, count }) => [status, count]));
  const chosen = search.status ?? [];
  return (
    <Toolbar>
      <fieldset className={list.chips}>
        <legend className="visually-hidden">Status</legend>
        {RUN_STATUSES.map((status) => (
          <Chip
            key={status}
            isOn={chosen.includes(status)}
            number={counted && (numbers.get(status) ?? 0)}
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
        {counted?.graphs.map(({ id }) => (
          <option key={id}>{id}</option>
        ))}
      </select>
      <select
        aria-label="Assistant"
        value={search.assistant ?? ''}
        onChange={(event) => onChange({ assistant: event.target.value || undefined })}
      >
        <option value="">All assistants</option>
        {counted?.assistants?.nodes.map(({ id, name }) => (
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

type Status = (typeof RUN_STATUSES)[number];

function toggled(chosen: readonly Status[], status: Status): Status[] | undefined {
  const next = RUN_STATUSES.filter((each) => chosen.includes(each) !== (each === status));
  return next.length > 0 ? next : undefined;
}
