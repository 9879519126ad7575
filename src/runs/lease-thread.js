// The thread of the lease renewer. Plain JavaScript: on Node 20, threads do not inherit the TypeScript loader.
import { writeSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * `renewal` is the text of a statement with the ids, the claim tokens and the lease as its values.
 *
 * @typedef {{ id: string, claimToken: string }} Claim
 * @type {{
 *   databaseUrl: string | undefined, session: string, renewal: string, lease: string,
 *   leaseSeconds: number, maxBlockedSeconds: number, shared: SharedArrayBuffer
 * }}
 */
const { databaseUrl, session, renewal, lease, leaseSeconds, maxBlockedSeconds, shared } =
  workerData;

const CHECK_MS = 1000;
const RETRY_MS = 1000;
/** Two renewals may fail before a lease expires. */
const RENEW_MS = (leaseSeconds * 1000) / 3;
/** The time for the main thread to report its position, and the time to exit after that. */
const ANSWER_MS = 2000;
/** EX_SOFTWARE of sysexits.h. */
const EXIT_STATUS = 70;

/** @type {Map<string, { claimToken: string, cancelAction: string | null }>} */
const claims = new Map();
const stopping = new AbortController();

parentPort.on('message', ({ hold, drop, stop }) => {
  if (hold) claims.set(hold.id, { claimToken: hold.claimToken, cancelAction: null });
  if (drop && claims.get(drop.id)?.claimToken === drop.claimToken) claims.delete(drop.id);
  if (!stop) return;
  clearInterval(watching);
  stopping.abort();
  if (!databaseUrl) parentPort.close();
});

const watching = maxBlockedSeconds > 0 ? watch() : undefined;
if (databaseUrl) {
  await renewUntilStopped();
  parentPort.close();
}

// ── Renewing ─────────────────────────────────────────────────────────────────────────────────

async function renewUntilStopped() {
  const { default: pg } = await import('pg');
  /** @type {import('pg').Client | undefined} */
  let client;
  let failing = false;
  while (!stopping.signal.aborted) {
    try {
      if (claims.size > 0) {
        client ??= await connect(pg);
        await renew(client);
        if (failing) parentPort.postMessage({ renewing: true });
        failing = false;
      }
    } catch (error) {
      void client?.end().catch(() => {});
      client = undefined;
      if (!failing) parentPort.postMessage({ failure: error });
      failing = true;
    }
    const pause = failing ? Math.min(RETRY_MS, RENEW_MS) : RENEW_MS;
    await sleep(pause, undefined, { signal: stopping.signal }).catch(() => {});
  }
  await client?.end().catch(() => {});
}

/** @param {typeof import('pg').default} pg */
async function connect(pg) {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: 'threadql leases',
    connectionTimeoutMillis: RENEW_MS,
    // Drops a silent connection early enough for another try with a new connection.
    query_timeout: RENEW_MS,
    keepAlive: true,
  });
  // The current statement also fails with this error.
  client.on('error', () => {});
  await client.connect();
  await client.query(session);
  return client;
}

/** @param {import('pg').Client} client */
async function renew(client) {
  const asked = Array.from(claims, ([id, { claimToken }]) => ({ id, claimToken }));
  const ids = asked.map(({ id }) => id);
  const claimTokens = asked.map(({ claimToken }) => claimToken);
  const { rows } = await client.query(renewal, [ids, claimTokens, lease]);
  const held = new Map(rows.map(({ id, cancelAction }) => [id, cancelAction]));
  for (const claim of asked) notify(claim, held.get(claim.id));
}

/**
 * @param {Claim} asked
 * @param {string | null | undefined} cancelAction Undefined: the claim is lost.
 */
function notify({ id, claimToken }, cancelAction) {
  const claim = claims.get(id);
  if (claim?.claimToken !== claimToken) return;
  if (cancelAction === undefined) {
    claims.delete(id);
    parentPort.postMessage({ lost: { id, claimToken } });
  } else if (cancelAction !== claim.cancelAction) {
    claim.cancelAction = cancelAction;
    parentPort.postMessage({ cancel: { id, claimToken } });
  }
}

// ── Watching the main thread ─────────────────────────────────────────────────────────────────

/** Counts checks instead of time: while the machine sleeps, there are no checks. */
function watch() {
  const ticks = new Int32Array(shared, 0, 1);
  let seen = 0;
  let checksWithoutTick = 0;
  return setInterval(() => {
    const now = Atomics.load(ticks, 0);
    checksWithoutTick = now === seen ? checksWithoutTick + 1 : 0;
    seen = now;
    if (checksWithoutTick * CHECK_MS < maxBlockedSeconds * 1000) return;
    clearInterval(watching);
    stopping.abort();
    void endProcess();
  }, CHECK_MS);
}

/**
 * A thread cannot end the process directly. The inspector of the main thread answers while JavaScript blocks the thread, and
 * ends the process (Node adds "Waiting for the debugger to disconnect..."). In a system call, only SIGKILL ends it.
 */
async function endProcess() {
  const killing = setTimeout(() => {
    report({ inSystemCall: true });
    kill();
  }, ANSWER_MS);
  try {
    const { Session } = await import('node:inspector/promises');
    const session = new Session();
    session.connectToMainThread();
    const { result } = await session.post('Runtime.evaluate', {
      expression: `(${currentNode.toString()})()`,
      returnByValue: true,
    });
    clearTimeout(killing);
    report(result.value ?? {});
    setTimeout(kill, ANSWER_MS);
    await session.post('Runtime.evaluate', { expression: `process.reallyExit(${EXIT_STATUS})` });
  } catch {
    // A Node without an inspector: the `killing` timer ends the process.
  }
}

function kill() {
  process.kill(process.pid, 'SIGKILL');
}

/** Evaluated in the main thread, on top of the blocking code: the current node, from the context of LangChain, and the frame. */
function currentNode() {
  const storage = globalThis[Symbol.for('ls:tracing_async_local_storage')];
  const config = storage?.getStore()?.extra?.[Symbol.for('lc:child_config')];
  const [, , ...frames] = String(new Error('here').stack).split('\n');
  return {
    runId: config?.metadata?.run_id,
    node: config?.metadata?.langgraph_node,
    frame: frames
      .find((frame) => !/at (node:|<anonymous>)|\((node:|<anonymous>)/.test(frame))
      ?.trim(),
  };
}

/** Straight to the descriptor: a thread's `process.stderr` goes through the main thread. */
function report({ runId, node, frame, inSystemCall = false }) {
  const unknown = inSystemCall ? 'a system call' : 'code outside a node';
  const who = runId ? `node "${node}" of run ${runId}` : unknown;
  const runs = [...claims.keys()];
  const line =
    `threadql ends: ${who} has blocked the event loop for ${maxBlockedSeconds} s (MAX_BLOCKED_SECONDS)` +
    `${frame ? `, ${frame}` : ''}. ` +
    `${runs.length > 0 ? `After a restart, these runs continue: ${runs.join(', ')}.` : 'No run was executing.'}\n`;
  try {
    writeSync(2, line);
  } catch {
    // stderr is closed; the process ends in any case.
  }
}
