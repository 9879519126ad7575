import type { RunEventType } from '../generated/prisma/enums.ts';

/** The kinds of events that a run emits on request. */
export type StreamMode = Exclude<RunEventType, 'STARTED' | 'INTERRUPT' | 'FINISHED'>;

/** The type of the event in place of deleted events. Its number is the number of the last deleted event. */
export const GAP = 'GAP';

/** An event before it has a number. */
export interface NewEvent {
  type: RunEventType;
  /** The path of the subgraph, outermost first; empty for the graph itself. */
  namespace: readonly string[];
  data: unknown;
  /** The checkpoint with the values of the event; `data` does not repeat them. */
  checkpointId?: string | undefined;
}

/** An event with its data as JSON. */
export interface MeasuredEvent extends NewEvent {
  json: string | null;
  /** Bytes of the JSON. */
  size: number;
}

/** Bytes of an event beside its data. */
export const EVENT_BYTES = 200;

/** A row of "RunEvent", or a GAP in place of deleted rows. The numbers count the events of all runs of the thread. */
export interface StoredEvent extends Omit<NewEvent, 'type'> {
  type: RunEventType | typeof GAP;
  threadId: string;
  number: number;
  runId: string;
  createdAt: Date;
  /** Bytes of `data`, if known. */
  size?: number;
}

/** The event's opaque id: its thread and number. */
export function eventId({ threadId, number }: Pick<StoredEvent, 'threadId' | 'number'>): string {
  const bytes = Buffer.alloc(16 + 6);
  bytes.write(threadId.replaceAll('-', ''), 'hex');
  bytes.writeUIntBE(number, 16, 6);
  return bytes.toString('base64url');
}

const EVENT_ID = /^[\w-]{30}$/;

/** The thread and number in an event's id. Undefined: the text is not such an id. */
export function parseEventId(id: string): { threadId: string; number: number } | undefined {
  if (!EVENT_ID.test(id)) return undefined;
  const bytes = Buffer.from(id, 'base64url');
  const hex = bytes.toString('hex', 0, 16);
  const threadId = [8, 12, 16, 20, 32]
    .map((end, i, ends) => hex.slice(ends[i - 1] ?? 0, end))
    .join('-');
  return { threadId, number: bytes.readUIntBE(16, 6) };
}
