import type { ClientApp } from '../app.ts';
import { AppError } from '../errors.ts';
import type { StoredEvent } from '../events/event.ts';
import { interruptible } from '../events/interruptible.ts';
import type { Run } from '../generated/prisma/client.ts';
import { interruptShape } from '../interrupts/rest.ts';
import { findInterrupts } from '../interrupts/search.ts';
import { recordOf } from '../json.ts';
import { inRestWords } from '../rest/errors.ts';
import { EXPIRED, watchCall } from '../rest/expiry.ts';
import { afterOperation, withinOperation } from '../rest/operation.ts';
import type { Call } from '../rest/route.ts';
import { eventStream, type SentEvent } from '../rest/sse.ts';
import { debugDataOf, valuesOfEvent } from './event-values.ts';
import { followFromStart } from './events.ts';
import { createFrames, type FrameSource } from './rest-frames.ts';
import { cancelAbandoned } from './rest-leave.ts';
import type { RestMode } from './rest-modes.ts';
import { statusName } from './rest-shapes.ts';

interface RunStream {
  run: Run;
  /** The id of the last event that the client has. Undefined: none. */
  lastEventId?: string | undefined;
  /** Undefined: all modes of the run. */
  modes?: readonly RestMode[] | undefined;
  /** Cancels the run if the client leaves. */
  cancelOnLeave: boolean;
  /** Adds the event `end`, as LangGraph's closed server does. */
  withEnd: boolean;
  headers: Record<string, string>;
}

/** The events of a run as Server-Sent Events: stored ones, then live ones, until the run has ended. */
export function streamRunEvents(call: Call, stream: RunStream): Response {
  const events = interruptible((left) => sentEvents(call, stream, left));
  return eventStream(events, {
    headers: stream.headers,
    onLeave: stream.cancelOnLeave ? () => void cancelAbandoned(call.app, stream.run) : undefined,
  });
}

async function* sentEvents(
  call: Call,
  { run, lastEventId, modes, withEnd }: RunStream,
  left: AbortSignal,
): AsyncGenerator<SentEvent, void> {
  // Each event has an operation of its own.
  const own = afterOperation(call.app);
  const events = await followFromStart(own, run);
  const frames = createFrames(run, sourceOf(own));
  const after = positionOf(lastEventId);
  async function* numbered(): AsyncGenerator<SentEvent, void> {
    let position = -1;
    for await (const event of events) {
      for await (const { mode, event: name, data } of frames.of(event)) {
        position += 1;
        if (position <= after || (mode && modes && !modes.includes(mode))) continue;
        yield { id: String(position), event: name, data: await data() };
      }
      if (withEnd && event.type === 'FINISHED') yield endEvent(run, event);
    }
  }
  yield* untilExpired(call, { events, left }, numbered());
}

interface ReaderOptions {
  events: AsyncIterator<StoredEvent>;
  left: AbortSignal;
  /** The event of an error. */
  describe?: typeof failure;
}

/** Ends with an error when the credentials end or an event cannot be read; ends the source when the client leaves. */
export async function* untilExpired(
  call: Pick<Call, 'app' | 'headers' | 'request'>,
  { events, left, describe = failure }: ReaderOptions,
  sent: AsyncIterable<SentEvent>,
): AsyncGenerator<SentEvent, void> {
  const end = (): void => void events.return?.();
  left.addEventListener('abort', end);
  let isExpired = false;
  const stop = watchCall(call, () => {
    isExpired = true;
    end();
  });
  try {
    yield* sent;
    if (isExpired) yield describe(EXPIRED);
  } catch (error) {
    if (!(error instanceof AppError)) {
      call.app.log.error({ err: error }, 'a stream of events failed');
      // The connection breaks: the client connects again and continues after its last event.
      throw error;
    }
    yield describe({ error: error.code, message: inRestWords(error) });
  } finally {
    left.removeEventListener('abort', end);
    stop();
    end();
  }
}

function endEvent({ id }: Run, { data }: StoredEvent): SentEvent {
  const { status } = recordOf(data);
  return { event: 'end', data: { run_id: id, status: statusName(status as Run['status']) } };
}

function failure(data: { error: string; message: string }): SentEvent {
  return { event: 'error', data };
}

/** The ids of a run's events are 0, 1, 2 …; any other id stands for the beginning. */
function positionOf(id: string | undefined): number {
  return id !== undefined && /^\d{1,15}$/.test(id) ? Number(id) : -1;
}

/** Reads what the events of a viewer's thread refer to. */
export function sourceOf(app: ClientApp): FrameSource {
  return {
    values: (event) => withinOperation(app, {}, (limited) => valuesOfEvent(limited, event)),
    debug: (event) => withinOperation(app, {}, (limited) => debugDataOf(limited, event)),
    async interrupts({ data }) {
      const ids = recordOf(data)['interruptIds'] as string[];
      return (await findInterrupts(app, ids)).map(interruptShape);
    },
  };
}
