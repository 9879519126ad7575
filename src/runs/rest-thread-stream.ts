import { z } from 'zod';
import { withoutHandlers } from '../auth/viewer.ts';
import { eventId, type StoredEvent } from '../events/event.ts';
import { parseUuid } from '../db/uuid.ts';
import { interruptible } from '../events/interruptible.ts';
import type { RunStatus } from '../generated/prisma/client.ts';
import { recordOf } from '../json.ts';
import { repeated } from '../rest/fields.ts';
import { afterOperation } from '../rest/operation.ts';
import { route, type Call } from '../rest/route.ts';
import { eventStream, type SentEvent } from '../rest/sse.ts';
import { followThread } from './events.ts';
import { createFrames, type Frame } from './rest-frames.ts';
import { statusName } from './rest-shapes.ts';
import { sourceOf, untilExpired } from './rest-stream.ts';
import { findRun } from './search.ts';

const MODES = ['run_modes', 'lifecycle', 'state_update'] as const;
type ThreadMode = (typeof MODES)[number];

const modes = repeated.pipe(z.array(z.enum(MODES))).optional();

/** The events of all runs of a thread, until the client leaves. */
export const threadStreamRoutes = [
  route({
    method: 'GET',
    path: '/threads/{thread_id}/stream',
    tag: 'Threads',
    summary:
      'Streams the events of all runs of a thread: from now, or after the event of the header Last-Event-ID; `-` stands for the beginning.',
    access: ['threads:read'],
    query: z.looseObject({ stream_mode: modes, stream_modes: modes }),
    answers: { 200: 'Server-Sent Events' },
    async handle(call) {
      const threadId = parseUuid('thread_id', call.params.thread_id);
      const own = afterOperation(call.app);
      const lastId = call.headers.get('last-event-id');
      const after = lastId === '-' ? eventId({ threadId, number: 0 }) : lastId;
      const events = await followThread(own, own.viewer, threadId, { after });
      const wanted = call.query.stream_mode ?? call.query.stream_modes ?? ['run_modes'];
      const sent = interruptible((left) =>
        untilExpired({ ...call, app: own }, { events, left }, threadEvents(own, events, wanted)),
      );
      return eventStream(sent, { headers: {} });
    },
  }),
];

/** Of the frames of an event, only the last one has an id: a client that leaves before it gets all of them again. */
async function* threadEvents(
  app: Call['app'],
  events: AsyncIterable<StoredEvent>,
  wanted: readonly ThreadMode[],
): AsyncGenerator<SentEvent, void> {
  const framesOf = createFramesOfRuns(app);
  for await (const event of events) {
    const frames = (await framesOf(event)).filter((frame) => isWanted(frame, wanted));
    const id = eventId(event);
    for (const frame of frames) {
      const isLast = frame === frames.at(-1);
      yield { ...(isLast && { id }), event: frame.event, data: await frame.data() };
    }
  }
}

function isWanted({ mode, event }: Frame, wanted: readonly ThreadMode[]): boolean {
  if (wanted.includes('run_modes')) return true;
  if (mode === undefined) return wanted.includes('lifecycle');
  return wanted.includes('state_update') && /^(values|updates)\b/.test(event);
}

/** The frames of each event, with the modes of its run; `run_done` at the end of a run. */
function createFramesOfRuns(app: Call['app']) {
  const runs = new Map<string, ReturnType<typeof createFrames>>();

  return async (event: StoredEvent): Promise<Frame[]> => {
    const { runId, type, data } = event;
    let frames = runs.get(runId);
    if (!frames) {
      // Of the thread that the viewer follows.
      const run = await findRun(app, withoutHandlers(app.viewer), runId);
      if (!run) return [];
      frames = createFrames(run, sourceOf(app));
      runs.set(runId, frames);
    }
    const all: Frame[] = [];
    for await (const frame of frames.of(event)) all.push(frame);
    if (type !== 'FINISHED') return all;
    runs.delete(runId);
    const status = statusName(recordOf(data)['status'] as RunStatus);
    return [...all, { event: 'run_done', data: () => ({ run_id: runId, status }) }];
  };
}
