import { z } from 'zod';
import type { ClientApp } from '../app.ts';
import { parseUuid } from '../db/uuid.ts';
import { BadInputError, NotFoundError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { RefusedError } from '../http/refused.ts';
import { flag, repeated, unsupported } from '../rest/fields.ts';
import type { Call } from '../rest/route.ts';
import { permitCancel } from './cancel.ts';
import { createRun } from './create.ts';
import type { NewRun } from './request.ts';
import { REST_MODES } from './rest-modes.ts';
import { toNewRun, type RunBody } from './rest-request.ts';
import { streamRunEvents } from './rest-stream.ts';
import { answerWithResult } from './rest-wait.ts';
import { findRun } from './search.ts';

/** `null` in the path: earlier SDKs name a missing thread so. */
function threadIdIn(params: { thread_id?: string }): string | null {
  const { thread_id: id = 'null' } = params;
  return id === 'null' ? null : id;
}

type RunCall = Pick<Call<string, unknown, RunBody>, Exclude<keyof Call, 'query'>>;
type StreamCall = Call<string, z.infer<typeof ReaderQuery>, RunBody>;

/** Creates the run of a request. */
export function createFrom({ app, body, params, headers }: RunCall): Promise<Run> {
  const { viewer } = app;
  return createNew(app, toNewRun(body, threadIdIn(params), { headers, viewer }));
}

/** Creates a run. A missing assistant is an error in the words of LangGraph's server. */
export async function createNew(app: ClientApp, request: NewRun): Promise<Run> {
  try {
    return await createRun(app, app.viewer, request);
  } catch (error) {
    throw isAboutAssistant(error) ? new AssistantMissingError(request.assistantId) : error;
  }
}

function isAboutAssistant(error: unknown): boolean {
  if (error instanceof NotFoundError) return error.what === 'Assistant';
  return error instanceof BadInputError && error.details['argument'] === 'input.assistantId';
}

/** With the words that clients look for. */
class AssistantMissingError extends RefusedError {
  constructor(name: string) {
    super(
      404,
      'NOT_FOUND',
      `No assistant found for "${name}". Give the id of an assistant or the name of a graph.`,
    );
  }
}

/** The path of a run. A stateless run has no thread for its client. */
export function pathOf({ id, onCompletion, threadId }: Run): string {
  return onCompletion === null ? `/threads/${threadId}/runs/${id}` : `/runs/${id}`;
}

/** Where a client finds the run, and where it continues after a lost connection. Both SDKs read these headers. */
function locationsOf(
  run: Run,
  { continues, query = {} }: { continues: 'stream' | 'join'; query?: Record<string, string> },
): Record<string, string> {
  const path = pathOf(run);
  const search = new URLSearchParams(query).toString();
  return {
    'content-location': path,
    location: `${path}/${continues}${search === '' ? '' : `?${search}`}`,
  };
}

/** The query of a reader of events. */
export const ReaderQuery = z.looseObject({
  stream_mode: repeated.pipe(z.array(z.enum(REST_MODES))).optional(),
  cancel_on_disconnect: flag.optional(),
  namespace: unsupported('namespace'),
  end: flag.optional().describe('With 1: the event `end` at the end of the run.'),
});

/** Creates a run and streams its events. */
export async function streamNew(call: StreamCall): Promise<Response> {
  const run = await createFrom(call);
  const cancelOnLeave = call.body.on_disconnect === 'cancel';
  const { end: withEnd = false } = call.query;
  const query = {
    ...(cancelOnLeave && { cancel_on_disconnect: '1' }),
    ...(withEnd && { end: '1' }),
  };
  const headers = locationsOf(run, { continues: 'stream', query });
  return streamRunEvents(call, { run, cancelOnLeave, withEnd, headers });
}

/** Creates a run and answers with its result. */
export async function waitForNew(call: RunCall): Promise<Response> {
  // Before the creation: a refused request must not leave a run.
  const free = call.app.waits.take();
  const run = await createFrom(call).catch((error: unknown) => {
    free();
    throw error;
  });
  const cancelOnLeave = call.body.on_disconnect === 'cancel';
  const query: Record<string, string> = cancelOnLeave ? { cancel_on_disconnect: '1' } : {};
  const headers = locationsOf(run, { continues: 'join', query });
  return answerWithResult(call, run, { cancelOnLeave, headers, free });
}

/** Answers with the result of an existing run. */
export async function joinExisting(call: Call, run: Run): Promise<Response> {
  const { cancel_on_disconnect: cancelOnLeave } = call.query as { cancel_on_disconnect: boolean };
  if (cancelOnLeave) await permitCancel(call.app, call.app.viewer, run.id, 'KEEP');
  const headers = { 'content-location': pathOf(run) };
  return answerWithResult(call, run, { cancelOnLeave, headers, free: call.app.waits.take() });
}

/** Streams the events of an existing run, after the last one that the client has. */
export async function streamExisting(call: Call, run: Run): Promise<Response> {
  const query = call.query as z.infer<typeof ReaderQuery>;
  if (query.cancel_on_disconnect) await permitCancel(call.app, call.app.viewer, run.id, 'KEEP');
  return streamRunEvents(call, {
    run,
    lastEventId: call.headers.get('last-event-id') ?? undefined,
    modes: query.stream_mode,
    cancelOnLeave: query.cancel_on_disconnect ?? false,
    withEnd: query.end ?? false,
    headers: {
      'content-location': pathOf(run),
      location: `${pathOf(run)}/stream${new URL(call.request.url).search}`,
    },
  });
}

/** The run in the path; of the thread in the path, if there is one. */
export async function requireRun(
  app: ClientApp,
  { thread_id: threadId, run_id: runId = '' }: { thread_id?: string; run_id?: string },
): Promise<Run> {
  const id = parseUuid('run_id', runId);
  const run = await findRun(app, app.viewer, id);
  const isElsewhere = threadId !== undefined && run?.threadId !== threadId.toLowerCase();
  if (!run || run.tombstone || isElsewhere) throw new NotFoundError('Run', id);
  return run;
}
