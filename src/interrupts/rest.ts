import type { Interrupt } from '../generated/prisma/client.ts';
import { isRecord } from '../json.ts';

/**
 * The JSON of an interrupt. Its id is LangGraph's: a graph with this thread as a node passes it on. Several interrupts of a task
 * may share it; the later ones then have the id of their row.
 */
export function interruptShape({ id, langgraphId, ordinal, value, responseSchema }: Interrupt) {
  return {
    id: ordinal === 0 ? langgraphId : id,
    value,
    // Python's SDK before 0.6 refuses other keys.
    ...(isRecord(responseSchema) && { response_schema: responseSchema }),
  };
}

/** The id of the interrupted task of the root graph. */
export function rootTaskId({ namespace, taskId }: Interrupt): string {
  return /^[^|:]*:([^|]*)/.exec(namespace)?.[1] ?? taskId;
}
