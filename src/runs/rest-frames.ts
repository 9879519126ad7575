import { AIMessageChunk } from '@langchain/core/messages';
import { messagesIn } from '../checkpoints/message.ts';
import { toPlain, type PlainMessage } from '../checkpoints/plain.ts';
import { wireValue } from '../checkpoints/rest-values.ts';
import { readErrorSummary } from '../errors.ts';
import type { StoredEvent } from '../events/event.ts';
import type { Run } from '../generated/prisma/client.ts';
import { recordOf } from '../json.ts';
import { toolDataOf } from './event-values.ts';
import { restModesOf, type RestMode } from './rest-modes.ts';

/** An event of a stream, as LangGraph's SDKs name it. */
export interface Frame {
  /** Undefined: for readers of all modes. */
  mode?: RestMode | undefined;
  event: string;
  /** Read only if a client gets the frame. */
  data: () => unknown;
}

/** Reads what an event refers to. */
export interface FrameSource {
  /** The state of a VALUES or CHECKPOINTS event. */
  values(event: StoredEvent): Promise<unknown>;
  /** The data of a DEBUG event. */
  debug(event: StoredEvent): Promise<unknown>;
  /** The interrupts of an INTERRUPT event. */
  interrupts(event: StoredEvent): Promise<unknown[]>;
}

/**
 * Makes the frames of a run from its events, from the first one on. A run has the same frames for each reader, with any modes: the
 * position of a frame is its id.
 */
export function createFrames(run: Run, source: FrameSource) {
  const modes = new Set(restModesOf(run));
  const legacy = createLegacyMessages(run, source);
  let hasAsked = false;

  async function* of(event: StoredEvent): AsyncGenerator<Frame, void> {
    if (event.type === 'STARTED') yield* started(run, event, modes);
    else if (event.type === 'INTERRUPT') {
      hasAsked = true;
      yield* interruptFrames(modes, () => source.interrupts(event));
    } else if (event.type === 'FINISHED') {
      const { status } = recordOf(event.data);
      if (status === 'INTERRUPTED' && !hasAsked) yield* interruptFrames(modes, () => []);
      yield* finished(event, modes);
    } else {
      for (const frame of plainFrames(run, event, source)) {
        if (frame.mode && modes.has(frame.mode)) yield frame;
      }
      if (modes.has('messages')) yield* legacy(event);
    }
  }

  return { of };
}

function* started(run: Run, { data }: StoredEvent, modes: ReadonlySet<RestMode>): Generator<Frame> {
  const { attempt } = recordOf(data);
  yield { event: 'metadata', data: () => ({ run_id: run.id, attempt }) };
  if (modes.has('lifecycle')) yield lifecycle('started');
}

function lifecycle(event: string, error?: unknown): Frame {
  const data = { event, namespace: [], ...(error !== undefined && { error }) };
  return { mode: 'lifecycle', event: 'lifecycle', data: () => data };
}

/** A stopped graph shows its questions in the modes that show its state. A breakpoint asks nothing: the list is empty. */
function* interruptFrames(
  modes: ReadonlySet<RestMode>,
  interrupts: () => unknown,
): Generator<Frame> {
  const data = async () => ({ __interrupt__: await interrupts() });
  for (const mode of ['values', 'updates'] as const) {
    if (modes.has(mode)) yield { mode, event: mode, data };
  }
}

const ENDS: Record<string, string> = {
  SUCCESS: 'completed',
  INTERRUPTED: 'interrupted',
  CANCELLED: 'interrupted',
  ERROR: 'failed',
  TIMEOUT: 'failed',
};

/** The event `lifecycle` at the end of a run. */
export function lifecycleEnd(status: unknown): string {
  return ENDS[String(status)] ?? 'completed';
}

function* finished({ data }: StoredEvent, modes: ReadonlySet<RestMode>): Generator<Frame> {
  const { status, error } = recordOf(data);
  const failure = status === 'ERROR' || status === 'TIMEOUT' ? shownFailure(status, error) : null;
  if (modes.has('lifecycle')) {
    yield lifecycle(lifecycleEnd(status), failure?.message);
  }
  if (failure) yield { event: 'error', data: () => failure };
}

/** The error of a run as the SDKs read it. */
export function shownFailure(status: unknown, error: unknown): { error: string; message: string } {
  const { name, message } = readErrorSummary(recordOf(error));
  return { error: status === 'TIMEOUT' && name === 'Error' ? 'TimeoutError' : name, message };
}

/** The frame of an event in the mode of its type. */
function* plainFrames(run: Run, event: StoredEvent, source: FrameSource): Generator<Frame> {
  const data = recordOf(event.data);
  const frame = (mode: RestMode, name: string, read: () => unknown): Frame => ({
    mode,
    event: [name, ...event.namespace].join('|'),
    data: read,
  });
  const { type } = event;
  if (type === 'VALUES') {
    yield frame('values', 'values', async () => wireValue(await source.values(event)));
  } else if (type === 'UPDATES') {
    yield frame('updates', 'updates', () => ({
      [String(data['node'])]: wireValue(data['update']),
    }));
  } else if (type === 'MESSAGES') {
    yield frame('messages-tuple', 'messages', () => [
      wireValue(data['message']),
      { ...recordOf(data['metadata']), ...sharedMetadata(run, event) },
    ]);
  } else if (type === 'CUSTOM') {
    yield frame('custom', 'custom', () => wireValue(data['data']));
  } else if (type === 'TASKS') {
    yield frame('tasks', 'tasks', () => wireValue(data));
  } else if (type === 'DEBUG') {
    yield frame('debug', 'debug', async () => wireValue(await source.debug(event)));
  } else if (type === 'EVENTS') {
    yield frame('events', 'events', () => wireValue(data));
  } else if (type === 'TOOLS') {
    yield frame('tools', 'tools', () => wireValue(toolDataOf(event)));
  } else if (type === 'CHECKPOINTS') {
    yield frame('checkpoints', 'checkpoints', async () => {
      const { checkpointId: _, parentId: _parent, ...rest } = data;
      return { ...recordOf(wireValue(rest)), values: wireValue(await source.values(event)) };
    });
  }
}

/** The metadata of a message that events leave out, because they are equal in all messages of a run. */
function sharedMetadata(run: Run, { data, threadId }: StoredEvent): Record<string, unknown> {
  const { langgraph_checkpoint_ns: namespace } = recordOf(recordOf(data)['metadata']);
  return {
    run_id: run.id,
    thread_id: threadId,
    graph_id: run.graphId,
    assistant_id: run.assistantId,
    ...(namespace !== undefined && { checkpoint_ns: namespace }),
  };
}

/**
 * The mode `messages` of earlier SDKs: each chunk brings the message so far, and a message in a state that no earlier state had is
 * complete.
 */
function createLegacyMessages(run: Run, source: FrameSource) {
  const open = new Map<string, AIMessageChunk>();
  const complete = new Set<unknown>();

  function* ofChunk(event: StoredEvent): Generator<Frame> {
    const { message, isChunk, metadata } = recordOf(event.data);
    const { id, ...fields } = message as PlainMessage;
    if (isChunk !== true || id === null) return;
    const chunk = new AIMessageChunk({ id, ...fields } as ConstructorParameters<
      typeof AIMessageChunk
    >[0]);
    const before = open.get(id);
    const whole = before ? joined(before, chunk) : chunk;
    open.set(id, whole);
    if (!before) {
      const shown = { ...recordOf(metadata), ...sharedMetadata(run, event) };
      yield legacyFrame('messages/metadata', () => ({ [id]: { metadata: shown } }));
    }
    yield legacyFrame('messages/partial', () => [wireValue(toPlain(whole))]);
  }

  return async function* of(event: StoredEvent): AsyncGenerator<Frame, void> {
    if (event.type === 'MESSAGES') yield* ofChunk(event);
    if (event.type !== 'VALUES') return;
    const fresh = messagesIn(await source.values(event)).filter(
      ({ id }) => id !== null && id !== undefined && !complete.has(id),
    );
    for (const { id } of fresh) complete.add(id);
    if (fresh.length > 0) yield legacyFrame('messages/complete', () => wireValue(fresh));
  };
}

/** The message with one more chunk. Chunks may contradict each other: then only the last one counts. */
function joined(before: AIMessageChunk, chunk: AIMessageChunk): AIMessageChunk {
  try {
    return before.concat(chunk);
  } catch {
    return chunk;
  }
}

function legacyFrame(event: string, data: () => unknown): Frame {
  return { mode: 'messages', event, data };
}
