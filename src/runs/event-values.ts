import { findValues } from '../checkpoints/states.ts';
import type { StoredEvent } from '../events/event.ts';
import { isRecord, recordOf } from '../json.ts';

type Needs = Parameters<typeof findValues>[0];

/** The state values of a VALUES or CHECKPOINTS event: stored in the event, or else in its checkpoint. */
export async function valuesOfEvent(app: Needs, event: StoredEvent): Promise<unknown> {
  const data = recordOf(event.data);
  return 'values' in data ? data['values'] : storedValues(app, event);
}

/** The data of a TOOLS event, as LangGraph emits it. */
export function toolDataOf({ data }: StoredEvent): Record<string, unknown> {
  const { taskNamespace: _, ...shown } = recordOf(data);
  return shown;
}

/** The data of a DEBUG event. That of a checkpoint includes its values: stored in the event, or else in the checkpoint. */
export async function debugDataOf(
  app: Needs,
  event: StoredEvent,
): Promise<Record<string, unknown>> {
  const data = recordOf(event.data);
  const { type, payload } = data;
  // For a large event, a text replaces its payload.
  if (type !== 'checkpoint' || !isRecord(payload) || 'values' in payload) return data;
  return { ...data, payload: { ...payload, values: await storedValues(app, event) } };
}

async function storedValues(
  app: Needs,
  { threadId, namespace, checkpointId }: StoredEvent,
): Promise<unknown> {
  if (!checkpointId) return {};
  return findValues(app, threadId, { namespace: namespace.join('|'), checkpointId });
}
