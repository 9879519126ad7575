import type { GraphName } from './graphs/factory.ts';

/** A server as its public client sees it. What a server does not serve throws NotServedError. */
export interface Client extends AsyncDisposable {
  /** Ids that runs can be started on. Only the embed server has to be told of them before. */
  freshThreads(count: number): Promise<string[]>;
  /** Runs the graph to its end and gets its output; without a thread, statelessly. */
  wait(graph: GraphName, threadId?: string): Promise<void>;
  /** Starts a run and follows it to its end. */
  follow(graph: GraphName, threadId: string, transport: Transport): Promise<Followed>;
  /** Starts a run in the background. */
  start(graph: GraphName, threadId: string, options?: StartOptions): Promise<Run>;
  /** Whether any thread has a run that is due or running. */
  isBusy(): Promise<boolean>;
  /** Follows a run over a connection of its own. Resolves when it is open. */
  subscribe(run: Run, onChunk: (text: string) => void): Promise<Subscription>;
  createThread(metadata?: Record<string, unknown>): Promise<string>;
  getThread(id: string): Promise<void>;
  /** The number of threads on the first page of ten. */
  search(metadata: Record<string, unknown>): Promise<number>;
  /** The number of messages. */
  state(id: string): Promise<number>;
  /** The number of checkpoints, of which it gets the values too. */
  history(id: string, limit: number): Promise<number>;
  copy(id: string): Promise<void>;
  /** A thread whose state graph `echo` made. */
  createEdited(): Promise<string>;
  /** Makes one checkpoint, with these messages on top. */
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

/** What a follower saw, and when. */
export interface Followed {
  /** From asking for the run. */
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

/** Notes when events come. */
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
