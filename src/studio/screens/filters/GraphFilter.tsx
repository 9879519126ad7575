import { useGraphIds } from '../../data/graphs.ts';

interface GraphFilterProps {
  graph: string | undefined;
  onChange: (graph: string | undefined) => void;
}

/** Only objects of one graph. */
export function GraphFilter({ graph, onChange }: GraphFilterProps) {
  return (
    <select
      aria-label="Graph"
      value={graph ?? ''}
      onChange={(event) => onChange(event.target.value || undefined)}
    >
      <option value="">All graphs</option>
      {useGraphIds().map((id) => (
        <option key={id}>{id}</option>
      ))}
    </select>
  );
}
