import { Chip, list } from '../../ui/Screen.tsx';
import { STATUS } from '../../ui/Status.tsx';

interface StatusFilterProps<Status extends keyof typeof STATUS> {
  statuses: readonly Status[];
  chosen: readonly Status[] | undefined;
  /** The number of objects of each status. Undefined: not known yet. */
  counts: readonly { status: Status; count: number }[] | null | undefined;
  /** Undefined: all statuses. */
  onChange: (chosen: Status[] | undefined) => void;
}

/** Chips for the statuses, each with its number. */
export function StatusFilter<Status extends keyof typeof STATUS>({
  statuses,
  chosen = [],
  counts,
  onChange,
}: StatusFilterProps<Status>) {
  function toggle(status: Status): void {
    const next = statuses.filter((each) => chosen.includes(each) !== (each === status));
    onChange(next.length > 0 ? next : undefined);
  }

  return (
    <fieldset className={list.chips}>
      <legend className="visually-hidden">Status</legend>
      {statuses.map((status) => (
        <Chip
          key={status}
          isOn={chosen.includes(status)}
          number={counts ? (counts.find((each) => each.status === status)?.count ?? 0) : undefined}
          onToggle={() => toggle(status)}
        >
          {STATUS[status].word}
        </Chip>
      ))}
    </fieldset>
  );
}
