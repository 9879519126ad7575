import { AWAIT_THREAD, FOLLOW_THREAD, READ_THREAD, type ThreadEvent } from './documents.ts';
import {
  applyEvent,
  applyState,
  endedRuns,
  forgetStreamed,
  NOTHING,
  type Model,
} from './thread-model.ts';
import { persist, type Transport } from './transport.ts';

interface Needs {
  transport: Transport;
  threadId: string;
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
  const { transport, threadId: id } = needs;
  /** The id of the last event. */
  let cursor: string | undefined;
  let refresh = async (): Promise<void> => {};

  async function readState(signal: AbortSignal): Promise<boolean> {
    const before = needs.getModel();
    const { thread } = await transport.request(READ_THREAD, { id }, signal);
    if (cursor === undefined) needs.setModel(forgetStreamed(needs.getModel()));
    cursor ??= thread?.eventCursor;
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
      const variables = { id, after: cursor ?? null };
      await transport.follow(FOLLOW_THREAD, variables, signal, (data) =>
        onEvent(data.threadEvents),
      );
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
