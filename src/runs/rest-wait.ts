import type { ClientApp } from '../app.ts';
import { withoutHandlers } from '../auth/viewer.ts';
import { wireValue } from '../checkpoints/rest-values.ts';
import { AppError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { interruptShape } from '../interrupts/rest.ts';
import { findInterruptsOfRun } from '../interrupts/search.ts';
import { recordOf } from '../json.ts';
import { inRestWords } from '../rest/errors.ts';
import { EXPIRED, watchCall } from '../rest/expiry.ts';
import { afterOperation, withinOperation } from '../rest/operation.ts';
import { json, type Call } from '../rest/route.ts';
import { cancelAbandoned } from './rest-leave.ts';
import type { EndedRun } from './end.ts';
import { outputOf } from './output.ts';
import { shownFailure } from './rest-frames.ts';
import { findRun } from './search.ts';
import { isFinal } from './status.ts';
import { waitForRun } from './wait.ts';

/** Time between two bytes that keep the connection of a waiting client open. */
const KEEP_ALIVE_MS = 1000;

interface WaitOptions {
  cancelOnLeave: boolean;
  headers: Record<string, string>;
  /** Gives back the slot of the waiting request. */
  free: () => void;
}

/**
 * Answers with the final values of the run. A failure of the run is in the answer, not in the status. A slow answer
 * begins with line breaks: JSON allows them, and proxies keep the connection.
 */
export async function answerWithResult(
  call: Pick<Call, 'app' | 'signal' | 'headers' | 'request'>,
  run: Run,
  { cancelOnLeave, headers, free }: WaitOptions,
): Promise<Response> {
  const { app, signal } = call;
  const leaving = new AbortController();
  const leave = (): void => {
    if (cancelOnLeave && !leaving.signal.aborted) void cancelAbandoned(app, run);
    leaving.abort();
  };
  signal.addEventListener('abort', leave);
  if (signal.aborted) leave();
  let isExpired = false;
  const stop = watchCall(call, () => {
    isExpired = true;
    leaving.abort();
  });
  const result = resultOf(app, run, { closed: leaving.signal, isExpired: () => isExpired }).finally(
    () => {
      free();
      stop();
      signal.removeEventListener('abort', leave);
    },
  );
  const early = await Promise.race([result, pause(KEEP_ALIVE_MS)]);
  return early ? json(early, headers) : slowAnswer(result, headers, leave);
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), ms).unref();
  });
}

function slowAnswer(
  result: Promise<object>,
  headers: Record<string, string>,
  onLeave: () => void,
): Response {
  const encoder = new TextEncoder();
  let beat: NodeJS.Timeout | undefined;
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      beat = setInterval(() => controller.enqueue(encoder.encode('\n')), KEEP_ALIVE_MS);
      try {
        controller.enqueue(encoder.encode(JSON.stringify(await result)));
        controller.close();
      } catch (error) {
        controller.error(error);
      } finally {
        clearInterval(beat);
      }
    },
    cancel() {
      clearInterval(beat);
      onLeave();
    },
  });
  return new Response(body, { headers: { 'content-type': 'application/json', ...headers } });
}

/** The values of the ended run, with its open questions; or its error. Always an object: clients look for keys in it. */
async function resultOf(
  app: ClientApp,
  run: Run,
  { closed, isExpired }: { closed: AbortSignal; isExpired: () => boolean },
): Promise<object> {
  const own = afterOperation(app);
  const ended = await waitForRun(own, run, { closed });
  if (isExpired()) return { __error__: EXPIRED };
  if (await isGone(own, ended)) {
    return { __error__: { error: 'NotFoundError', message: `Run not found: ${run.id}` } };
  }
  try {
    return await withinOperation(own, {}, (limited) => shownResult(limited, ended));
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { __error__: { error: error.code, message: inRestWords(error) } };
  }
}

/** Whether a run has no result because it is rolled back, or deleted with its thread or alone. */
async function isGone(app: ClientApp, { id, status }: EndedRun): Promise<boolean> {
  if (isFinal(status) && status !== 'CANCELLED') return false;
  const run = await findRun(app, withoutHandlers(app.viewer), id);
  return run === undefined || run.tombstone;
}

async function shownResult(app: ClientApp, run: EndedRun): Promise<object> {
  const { status, error } = run;
  if (status === 'ERROR' || status === 'TIMEOUT') return { __error__: shownFailure(status, error) };
  const values = wireValue(await outputOf(app, run));
  if (status !== 'INTERRUPTED') return toObject(values);
  const interrupts = await findInterruptsOfRun(app, run);
  const open = interrupts.filter(({ pending }) => pending);
  return { ...recordOf(values), __interrupt__: open.map(interruptShape) };
}

function toObject(values: unknown): object {
  return typeof values === 'object' && values !== null ? values : {};
}
