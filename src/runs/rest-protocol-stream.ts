import type { ClientApp } from '../app.ts';
import { withoutHandlers } from '../auth/viewer.ts';
import { eventId, type StoredEvent } from '../events/event.ts';
import { interruptible } from '../events/interruptible.ts';
import { interruptShape } from '../interrupts/rest.ts';
import { findInterrupts } from '../interrupts/search.ts';
import { afterOperation } from '../rest/operation.ts';
import type { Call } from '../rest/route.ts';
import { eventStream, type SentEvent } from '../rest/sse.ts';
import { followRuns } from './current-run.ts';
import { isWanted, type EventFilter } from './rest-protocol-filter.ts';
import {
  createProtocolEvents,
  type ProtocolEvent,
  type ProtocolSource,
} from './rest-protocol-events.ts';
import { sourceOf, untilExpired } from './rest-stream.ts';
import { findRun } from './search.ts';

/** The most events of the protocol for a stored event. Their `seq` is the number of the stored event times this, plus a position. */
const MOST_EVENTS = 10_000;

/** The `seq` of the last event for the stored event with this number. */
export function lastSeqOf(number: number): number {
  return number === 0 ? 0 : number * MOST_EVENTS + MOST_EVENTS - 1;
}

/** Streams the events of a thread that meet the filter, until the client leaves. */
export async function streamProtocol(
  call: Call<string, unknown, EventFilter>,
  threadId: string,
): Promise<Response> {
  const app = afterOperation(call.app);
  const { since } = call.body;
  const after = since == null ? undefined : Math.floor(since / MOST_EVENTS);
  const events = await followRuns(app, app.viewer, threadId, { after });
  const sent = interruptible((left) =>
    untilExpired({ ...call, app }, { events, left, describe }, sentEvents(app, events, call.body)),
  );
  return eventStream(sent, { headers: {}, greets: true });
}

/** The protocol's form of an error that belongs to no command. */
function describe({ error, message }: { error: string; message: string }): SentEvent {
  const code = error === 'UnauthenticatedError' ? 'permission_denied' : 'unknown_error';
  return { event: 'error', data: { type: 'error', id: null, error: code, message } };
}

async function* sentEvents(
  app: ClientApp,
  events: AsyncIterable<StoredEvent>,
  filter: EventFilter,
): AsyncGenerator<SentEvent, void> {
  const runs = createRuns(app);
  for await (const event of events) {
    const protocolEvents = await runs.eventsOf(event);
    if (!protocolEvents) continue;
    let position = 0;
    for await (const each of protocolEvents(event)) {
      const seq = event.number * MOST_EVENTS + Math.min(position, MOST_EVENTS - 1);
      const id = idOf(event, each, position);
      position += 1;
      if (filter.since != null && seq <= filter.since) continue;
      if (isWanted(filter, each))
        yield sentEvent(event, each, { id, seq, data: await each.data() });
    }
    if (event.type === 'FINISHED') runs.forget(event);
  }
}

/** Clients read the id of the run in the ids of its own status. */
function idOf(event: StoredEvent, { method, namespace }: ProtocolEvent, position: number): string {
  const isOfRun = method === 'lifecycle' && namespace.length === 0;
  return isOfRun ? `synth:${event.runId}:${event.number}` : `${eventId(event)}:${position}`;
}

function sentEvent(
  { createdAt }: StoredEvent,
  { method, namespace, node }: ProtocolEvent,
  { id, seq, data }: { id: string; seq: number; data: unknown },
): SentEvent {
  const timestamp = createdAt.getTime();
  const params = { namespace, timestamp, ...(node !== undefined && { node }), data };
  return { id, event: method, data: { type: 'event', event_id: id, seq, method, params } };
}

/** The events of each run of the thread. */
function createRuns(app: ClientApp) {
  const runs = new Map<string, ReturnType<typeof createProtocolEvents>>();
  const source = protocolSource(app);
  return {
    async eventsOf({ runId }: StoredEvent) {
      const known = runs.get(runId);
      if (known) return known;
      // Of the thread that the viewer follows.
      const run = await findRun(app, withoutHandlers(app.viewer), runId);
      if (!run) return undefined;
      const made = createProtocolEvents(run, source);
      runs.set(runId, made);
      return made;
    },
    forget: ({ runId }: StoredEvent) => runs.delete(runId),
  };
}

function protocolSource(app: ClientApp): ProtocolSource {
  return {
    values: sourceOf(app).values,
    async questions(ids) {
      const found = await findInterrupts(app, ids);
      return found.map((interrupt) => ({
        ...interruptShape(interrupt),
        namespace: interrupt.namespace === '' ? [] : interrupt.namespace.split('|'),
      }));
    },
  };
}
