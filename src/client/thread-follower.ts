import {
  AWAIT_THREAD,
  FOLLOW_EDITS,
  FOLLOW_THREAD,
  READ_THREAD,
  type ThreadEvent,
} from './documents.ts';
import type { ThreadOptions } from './thread-actions.ts';
import {
  applyEvent,
  applyState,
  endedRuns,
  forgetStreamed,
  isExecuting,
  NOTHING,
  type Model,
} from './thread-model.ts';
import { persist, type Transport } from './transport.ts';

interface Needs {
  transport: Transport;
  threadId: string;
  options: Pick<ThreadOptions, 'versions'>;
  getModel(): Model;
  setModel(model: Model): void;
  onError(error: Error): void;
}

/** Keeps a model up to date with the state and the events of a thread. */
export interface Follower {
  /** Follows the thread until it is created or deleted, or until events have expired. Then call it again. */
  follow(signal: AbortSignal, live: () => void): Promise<void>;
  /** The next `follow` begins with the state. Returns false if it would do so anyway. */
  startAgain(): boolean;
  /** Reads the state while a connection is open. */
  refresh(): void;
}

export function createFollower(needs: Needs): Follower {
  const { transport, threadId: id, options } = needs;
  /** The id of the last event. */
  let cursor: string | undefined;
  /** The version of the state that was read last. */
  let stateUpdatedAt: string | undefined;
  let refresh = async (): Promise<void> => {};

  async function readState(signal: AbortSignal): Promise<boolean> {
    const before = needs.getModel();
    const versions = options.versions === true && !isExecuting(before);
    const { thread } = await transport.request(READ_THREAD, { id, versions }, signal);
    if (cursor === undefined) needs.setModel(forgetStreamed(needs.getModel()));
    cursor ??= thread?.eventCursor;
    stateUpdatedAt = thread?.stateUpdatedAt;
    needs.setModel(applyState(needs.getModel(), thread ?? NOTHING, before));
    return thread !== null;
  }

  function onEvent(event: ThreadEvent): 'enough' | void {
    if (event.__typename === 'StreamGapEvent') {
      cursor = undefined;
      return 'enough';
    }
    cursor = event.id;
    const isFirst = isFirstChunk(needs.getModel(), event);
    needs.setModel(applyEvent(needs.getModel(), event));
    // Between two chunks of a message, the state does not change.
    if (event.__typename !== 'MessagesEvent' || isFirst) void refresh();
  }

  /** An edit of the state has no event. The end of a run has one, and its refresh reads the state. */
  function onChange(updatedAt: string): void {
    const model = needs.getModel();
    const isByRun = isExecuting(model) || endedRuns(model).size > 0;
    if (!isByRun && updatedAt !== stateUpdatedAt) void refresh();
  }

  return {
    async follow(signal, live) {
      refresh = createRefresh(signal, needs, readState);
      if (cursor !== undefined) void refresh().then(live);
      else {
        const exists = await readState(signal);
        live();
        if (!exists) return await transport.follow(AWAIT_THREAD, { id }, signal, () => 'enough');
        if (endedRuns(needs.getModel()).size > 0) void refresh();
      }
      await followChanges(needs, signal, { after: cursor ?? null, onEvent, onChange });
      // The thread is deleted, or the events have expired.
      if (!signal.aborted) cursor = undefined;
    },
    startAgain() {
      const hadCursor = cursor !== undefined;
      cursor = undefined;
      return hadCursor;
    },
    refresh: () => void refresh(),
  };
}

interface Changes {
  /** The id of the last event. */
  after: string | null;
  onEvent(event: ThreadEvent): 'enough' | void;
  /** Called with the version of the state. */
  onChange(stateUpdatedAt: string): void;
}

/** Follows the events and the edits of a thread, until one of the two subscriptions ends. */
async function followChanges(
  { transport, threadId: id }: Needs,
  signal: AbortSignal,
  { after, onEvent, onChange }: Changes,
): Promise<void> {
  await Promise.race([
    transport.follow(FOLLOW_THREAD, { id, after }, signal, (data) => onEvent(data.threadEvents)),
    transport.follow(FOLLOW_EDITS, { id }, signal, ({ threadChanges: change }) => {
      if (change.__typename === 'ThreadUpdated') onChange(change.thread.stateUpdatedAt);
    }),
  ]);
}

function isFirstChunk({ turns }: Model, event: ThreadEvent): boolean {
  if (event.__typename !== 'MessagesEvent') return false;
  const { messageId } = event.message;
  return !turns.some(({ streamed }) => streamed.some(({ id }) => id === messageId));
}

/** Returns a function that reads the state; once for all calls during a read. */
function createRefresh(
  signal: AbortSignal,
  needs: Needs,
  readState: (signal: AbortSignal) => Promise<unknown>,
): () => Promise<void> {
  let isStale = false;
  let reading: Promise<void> | undefined;

  async function readWhileStale(): Promise<void> {
    try {
      while (isStale && !signal.aborted) {
        isStale = false;
        await persist(() => readState(signal), signal);
        isStale ||= endedRuns(needs.getModel()).size > 0;
      }
    } catch (error) {
      if (!signal.aborted) needs.onError(error as Error);
    } finally {
      reading = undefined;
    }
  }

  return () => {
    isStale = true;
    return (reading ??= readWhileStale());
  };
}
