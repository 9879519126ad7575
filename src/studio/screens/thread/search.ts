import { oneOf, text } from '../../data/search.ts';
import { VIEW_NAMES, type ViewName } from './view-names.ts';

/** What makes a checkpoint. */
export const CHECKPOINT_SOURCES = ['INPUT', 'LOOP', 'UPDATE', 'FORK'] as const;
type CheckpointSource = (typeof CHECKPOINT_SOURCES)[number];

/** What the screen of a thread shows, as its URL says it. */
export interface ThreadSearch {
  /** The view beside the conversation. */
  view?: ViewName | undefined;
  /** The selected checkpoint. Absent: the current state. */
  cp?: string | undefined;
  /** Namespace of the selected checkpoint. Absent: the graph itself. */
  ns?: string | undefined;
  /** The checkpoint for a comparison with the selected one. */
  vs?: string | undefined;
  /** The selected run. */
  run?: string | undefined;
  /** What made the checkpoints of the timeline. Absent: anything. */
  source?: CheckpointSource | undefined;
  /** The selected value in the state, as a JSON pointer. */
  path?: string | undefined;
}

export function readThreadSearch(search: Record<string, unknown>): ThreadSearch {
  return {
    view: oneOf(search['view'], VIEW_NAMES),
    cp: text(search['cp']),
    ns: text(search['ns']),
    vs: text(search['vs']),
    run: text(search['run']),
    source: oneOf(search['source'], CHECKPOINT_SOURCES),
    path: text(search['path']),
  };
}
