import type { App } from '../app.ts';
import { findState } from '../checkpoints/states.ts';
import { builder } from '../graphql/builder.ts';
import { recordOf } from '../json.ts';
import { eventId, type StoredEvent } from './event.ts';

const NAMES: Record<StoredEvent['type'], string> = {
  STARTED: 'RunStartedEvent',
  VALUES: 'ValuesEvent',
  UPDATES: 'UpdatesEvent',
  MESSAGES: 'MessagesEvent',
  CUSTOM: 'CustomEvent',
  TASKS: 'TasksEvent',
  CHECKPOINTS: 'CheckpointsEvent',
  DEBUG: 'DebugEvent',
  TOOLS: 'ToolsEvent',
  EVENTS: 'LangChainEvent',
  INTERRUPT: 'InterruptEvent',
  FINISHED: 'RunFinishedEvent',
  GAP: 'StreamGapEvent',
};

export const RunEventRef = builder.interfaceRef<StoredEvent>('RunEvent').implement({
  description:
    "An event of a run. Ids are unique over all runs; `after` accepts any of them. A run's events are ordered without gaps: RunStartedEvent first (unless the run was cancelled before its start), RunFinishedEvent last. A StreamGapEvent replaces expired events. If an event exceeds EVENT_LIMIT_BYTES, a text replaces its data; the state keeps the data.",
  resolveType: ({ type }) => NAMES[type],
  fields: (t) => ({
    id: t.id({ description: 'Id of the event, also its cursor for `after`.', resolve: eventId }),
    runId: t.exposeID('runId'),
    namespace: t.stringList({
      description: 'Path of the subgraph, outermost first; empty for the root graph.',
      resolve: ({ namespace }) => [...namespace],
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});

/** The stored data of an event. */
export function dataOf({ data }: StoredEvent): Record<string, unknown> {
  return recordOf(data);
}

/** The checkpoint of the event, if the thread still has it. */
export async function stateOf(app: App, { threadId, namespace, checkpointId }: StoredEvent) {
  if (!checkpointId) return undefined;
  return findState(app, threadId, { namespace: namespace.join('|'), checkpointId });
}
