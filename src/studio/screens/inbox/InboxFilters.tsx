import { Toolbar } from '../../ui/Screen.tsx';
import { GraphFilter } from '../filters/GraphFilter.tsx';
import { MetadataFilter } from '../filters/MetadataFilter.tsx';
import type { InboxSearch } from './search.ts';

interface InboxFiltersProps {
  search: InboxSearch;
  onChange: (change: Partial<InboxSearch>) => void;
}

/** Only questions of a graph, or of threads with some metadata. */
export function InboxFilters({ search, onChange }: InboxFiltersProps) {
  return (
    <Toolbar>
      <GraphFilter graph={search.graph} onChange={(graph) => onChange({ graph })} />
      <MetadataFilter text={search.meta} onChange={(meta) => onChange({ meta })} />
    </Toolbar>
  );
}
