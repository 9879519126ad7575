import type { GraphName } from './graphs/factory.ts';

/** A server through its public client. An operation without support in a server throws NotServedError. */
export interface Client extends AsyncDisposable {
  /** Makes ids for the threads of runs. Only the embed server must know them before. */
  freshThreads(count: number): Promise<string[]>;
  /** Runs the graph to its end and returns its output. Without a thread, the run is stateless. */
  wait(graph: GraphName, threadId?: string): Promise<void>;
  /** Starts a run and follows it to its end. */
  follow(graph: GraphName, threadId: string, transport: Transport): Promise<Followed>;
  /** Starts a run in the background. */
  start(graph: GraphName, threadId: string, options?: StartOptions): Promise<Run>;
  /** Whether any thread has a due or running run. */
  isBusy(): Promise<boolean>;
  /** Follows a run over its own connection. Resolves when the connection is open. */
  subscribe(run: Run, onChunk: (text: string) => void): Promise<Subscription>;
  createThread(metadata?: Record<string, unknown>): Promise<string>;
  getThread(id: string): Promise<void>;
  /** The number of threads on the first page of ten. */
  search(metadata: Record<string, unknown>): Promise<number>;
  /** Returns the number of messages. */
  state(id: string): Promise<number>;
  /** Returns the number of checkpoints, and reads their values too. */
  history(id: string, limit: number): Promise<number>;
  copy(id: string): Promise<void>;
  /** Creates a thread with a state of graph `echo`. */
  createEdited(): Promise<string>;
  /** Makes a checkpoint with these added messages. */
  edit(id: string, messages: string[]): Promise<void>;
}

export type Transport = 'websocket' | 'sse';

export interface StartOptions {
  afterSeconds?: number;
  input?: object;
}

export interface Run {
  id: string;
  threadId: string;
}

export interface Subscription {
  ended: Promise<void>;
  close(): Promise<void>;
}

/** The events of a follower, with their times. */
export interface Followed {
  /** Since the request of the run. */
  firstEventMs: number;
  firstUpdateMs: number;
  endMs: number;
  /** From the last event to the end of the stream. */
  completionMs: number;
  chunks: number;
  /** From the first chunk to the last. */
  chunksMs: number;
}

export class NotServedError extends Error {}

export const INPUT = { messages: [{ role: 'user', content: 'Do you hear me?' }] };

/** Records the times of events. */
export function createStopwatch() {
  const began = performance.now();
  const events: number[] = [];
  const chunks: number[] = [];
  let update: number | undefined;
  return {
    saw(kind: 'chunk' | 'update' | 'other') {
      const now = performance.now() - began;
      events.push(now);
      if (kind === 'chunk') chunks.push(now);
      if (kind === 'update') update ??= now;
    },
    ended(): Followed {
      const endMs = performance.now() - began;
      const [firstEvent, lastEvent] = [events[0], events.at(-1)];
      if (firstEvent === undefined || lastEvent === undefined || update === undefined) {
        throw new Error('The stream ended without an update.');
      }
      return {
        firstEventMs: firstEvent,
        firstUpdateMs: update,
        endMs,
        completionMs: endMs - lastEvent,
        chunks: chunks.length,
        chunksMs: (chunks.at(-1) ?? 0) - (chunks[0] ?? 0),
      };
    },
  };
}
