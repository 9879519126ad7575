import type { CheckpointTuple } from '@langchain/langgraph-checkpoint';
import type { Run } from '../generated/prisma/client.ts';
import type { RunEventType } from '../generated/prisma/enums.ts';

/** What a run can be asked to tell while it runs. */
export type StreamMode = Exclude<RunEventType, 'STARTED' | 'INTERRUPT' | 'FINISHED'>;

/** Stands where events are no longer kept. Its number is that of the last of them. */
export const GAP = 'GAP';

/** An event before it has a number. */
export interface NewEvent {
  type: RunEventType;
  /** The subgraph it came from, outermost first; empty for the graph itself. */
  namespace: readonly string[];
  data: unknown;
  /** The checkpoint whose state the event shows; its values are then not in `data`. */
  checkpointId?: string | undefined;
}

/** A run's row as it is when it has ended, and where that was here, the checkpoint that it left. */
export interface EndedRun extends Run {
  left?: CheckpointTuple | undefined;
}

/** A row of "RunEvent", or what stands for rows that are gone. Numbers are the thread's: they order the events of all its runs. */
export interface StoredEvent extends Omit<NewEvent, 'type'> {
  type: RunEventType | typeof GAP;
  threadId: string;
  number: number;
  runId: string;
  createdAt: Date;
  /** Bytes of `data`, where they are known. */
  size?: number;
  /** Of a final event that has just been stored here, where it is known: the run's row as it is then. */
  run?: EndedRun;
}

/** The event's opaque id: its thread and number. */
export function eventId({ threadId, number }: Pick<StoredEvent, 'threadId' | 'number'>): string {
  const bytes = Buffer.alloc(16 + 6);
  bytes.write(threadId.replaceAll('-', ''), 'hex');
  bytes.writeUIntBE(number, 16, 6);
  return bytes.toString('base64url');
}

const EVENT_ID = /^[\w-]{30}$/;

/** What an event's id says, or undefined where it is not one. */
export function parseEventId(id: string): { threadId: string; number: number } | undefined {
  if (!EVENT_ID.test(id)) return undefined;
  const bytes = Buffer.from(id, 'base64url');
  const hex = bytes.toString('hex', 0, 16);
  const threadId = [8, 12, 16, 20, 32]
    .map((end, i, ends) => hex.slice(ends[i - 1] ?? 0, end))
    .join('-');
  return { threadId, number: bytes.readUIntBE(16, 6) };
}
