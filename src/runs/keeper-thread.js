// The keeper's thread. Plain JavaScript: threads do not inherit the TypeScript loader on Node 20.
import { writeSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * @typedef {{ id: string, claimToken: string }} Claim
 * @type {{ databaseUrl: string | undefined, leaseSeconds: number, maxBlockedSeconds: number, shared: SharedArrayBuffer }}
 */
const { databaseUrl, leaseSeconds, maxBlockedSeconds, shared } = workerData;

const LOOK_MS = 1000;
const RETRY_MS = 1000;
/** Two renewals may fail before a lease expires. */
const RENEW_MS = (leaseSeconds * 1000) / 3;
/** How long the main thread gets to say where it is, and then to end. */
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
    // A connection that has gone silent is given up while there is time for another one.
    query_timeout: RENEW_MS,
    keepAlive: true,
  });
  // The statement that waits gets the error too.
  client.on('error', () => {});
  await client.connect();
  return client;
}

/**
 * A row that is locked is not waited for: the transaction that holds it may be the blocked main thread's own, and the
 * other claims must not expire meanwhile. Nobody can take a locked row either.
 *
 * @param {import('pg').Client} client
 */
async function renew(client) {
  const asked = Array.from(claims, ([id, { claimToken }]) => ({ id, claimToken }));
  const { rows } = await client.query(
    `WITH c AS (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS c(run, token)), free AS (
       SELECT r."id" FROM "Run" r JOIN c ON r."id" = c.run AND r."claimToken" = c.token
       WHERE r."status" = 'RUNNING' FOR NO KEY UPDATE OF r SKIP LOCKED
     ), renewed AS (
       UPDATE "Run" r SET "leaseExpiresAt" = now() + $3::interval FROM free WHERE r."id" = free."id"
     )
     SELECT r."id", r."cancelAction" FROM "Run" r JOIN c ON r."id" = c.run AND r."claimToken" = c.token
     WHERE r."status" = 'RUNNING'`,
    [
      asked.map(({ id }) => id),
      asked.map(({ claimToken }) => claimToken),
      `${leaseSeconds} seconds`,
    ],
  );
  const held = new Map(rows.map(({ id, cancelAction }) => [id, cancelAction]));
  for (const claim of asked) tell(claim, held.get(claim.id));
}

/**
 * @param {Claim} asked
 * @param {string | null | undefined} cancelAction Undefined: the claim is lost.
 */
function tell({ id, claimToken }, cancelAction) {
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

/** Looks are counted, not time: while the machine sleeps, nobody looks. */
function watch() {
  const ticks = new Int32Array(shared, 0, 1);
  let seen = 0;
  let looksInVain = 0;
  return setInterval(() => {
    const now = Atomics.load(ticks, 0);
    looksInVain = now === seen ? looksInVain + 1 : 0;
    seen = now;
    if (looksInVain * LOOK_MS < maxBlockedSeconds * 1000) return;
    clearInterval(watching);
    stopping.abort();
    void endProcess();
  }, LOOK_MS);
}

/**
 * A thread can end itself only. The main thread's inspector answers also while JavaScript blocks it, so that is asked
 * to exit (Node adds "Waiting for the debugger to disconnect..."); blocked in a system call, it can only be killed.
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
      expression: `(${whereabouts.toString()})()`,
      returnByValue: true,
    });
    clearTimeout(killing);
    report(result.value ?? {});
    setTimeout(kill, ANSWER_MS);
    await session.post('Runtime.evaluate', { expression: `process.reallyExit(${EXIT_STATUS})` });
  } catch {
    // A Node without an inspector: `killing` has not been cleared.
  }
}

function kill() {
  process.kill(process.pid, 'SIGKILL');
}

/** Evaluated in the main thread, on top of what blocks it: which node that is, by what LangChain knows of its context. */
function whereabouts() {
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
    `${runs.length > 0 ? `A restart goes on with what ran here: ${runs.join(', ')}.` : 'No run was going on.'}\n`;
  try {
    writeSync(2, line);
  } catch {
    // Nobody reads it; the process ends all the same.
  }
}
