import type { Query, Sql } from '../db/open.ts';
import {
  ClaimLostError,
  isTransactionRollback,
  isUniqueViolation,
  summarizeError,
} from '../errors.ts';
import type { Logger } from '../log.ts';
import type { NewEvent, StoredEvent } from './event.ts';
import type { EventTail } from './tail.ts';

/** An attempt as the log sees it: what its events belong to, and what its claim is. */
export interface Writer {
  readonly runId: string;
  readonly threadId: string;
  readonly claimToken: string;
  /** Told when the claim turned out to be lost, or an event could not be stored. */
  fail(error: unknown): void;
}

/** The database refused an event, or it cannot be written as JSON: its run fails, and no other. */
class EventRefusedError extends Error {
  constructor({ type }: NewEvent, cause: unknown) {
    super(`A ${type} event of the run could not be stored: ${summarizeError(cause).message}`, {
      cause,
    });
    this.name = 'EventRefusedError';
  }
}

/** Where the events of running attempts are stored, gathered over all runs of the process. */
export interface EventLog {
  /** Takes an event; it is stored, and shown to readers, with the next batch. Resolves when there is room for more. */
  append(writer: Writer, event: NewEvent): Promise<void>;
  /** Resolves when all that this writer appended is stored, or has failed: whether all of it is stored. */
  flush(writer: Writer): Promise<boolean>;
  /** From now on, what this writer appends waits for `storeWith` or `endWith`, until it is released. */
  hold(writer: Writer): void;
  release(writer: Writer): void;
  /**
   * Stores what this writer, which is held, has appended by a statement of the caller's, `store`, which gives the number of
   * the first of the events (any, where there are none). With more than one statement takes, the rest waits on. Where the
   * database refuses them, `store` is called again without any. Throws what `store` throws, and where an event could not be
   * stored; what the writer appended is dropped then.
   */
  storeWith(
    writer: Writer,
    store: (events: readonly PendingEvent[]) => Promise<number>,
  ): Promise<void>;
  /**
   * Stores all that this writer, which is held, has appended by the statement that ends its run, `end`; that gives undefined
   * where it has changed nothing. Whether it was done. It is not where `end` fails, or where there is more than one statement
   * takes: then the events wait on.
   */
  endWith(
    writer: Writer,
    end: (events: readonly PendingEvent[]) => Promise<number | undefined>,
  ): Promise<boolean>;
}

/** An event that is not stored yet, with its data as JSON. */
export interface PendingEvent extends NewEvent {
  json: string | null;
  /** When it was appended. Undefined: when it is stored. */
  at?: Date;
}

interface Pending extends PendingEvent {
  writer: Writer;
  at: Date;
}

const BATCH_EVENTS = 500;
/** Half of what a reader's buffer holds. */
const BATCH_BYTES = 524_288;
/** A writer that has this many events waiting waits itself. */
const ROOM = 1000;

// The fence of every write: see checkpoints/store.ts. Runs are locked in the order of their ids, as by `lockThreads`, so that
// two statements do not wait for each other; a lookup that locks is not turned into a join. A token that is missing in the
// answer is a claim that was lost.
// The limits are what there is. They have the planner expect few rows whatever it is given, so that the one plan which is
// prepared for all costs no more than one of this statement's own, which would be made every time.
const INSERT_EVENTS = `WITH claims AS (
  SELECT c.run, c.token, r."threadId", ${lastNumberOf('r."threadId"')} AS "last"
  FROM (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS c(run, token) ORDER BY run LIMIT $10) c,
    LATERAL (SELECT r."threadId" FROM "Run" r WHERE r."id" = c.run AND r."claimToken" = c.token FOR KEY SHARE) r
), stored AS (
  INSERT INTO "RunEvent" ("runId", "threadId", "number", "type", "namespace", "data", "checkpointId", "createdAt")
  SELECT claims.run, claims."threadId", claims."last" + e.place, e.type::"RunEventType", string_to_array(e.namespace, '|'),
    e.data::json, e.checkpoint, e.at
  FROM (SELECT * FROM unnest($3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::timestamptz[])
    AS e(token, place, type, namespace, data, checkpoint, at) LIMIT $11) e
  JOIN claims ON claims.token = e.token
)
SELECT "token", "last" + 1 AS "first" FROM claims`;

const LOCK_RUNS = `SELECT FROM "Run" WHERE "id" = ANY($1::uuid[]) ORDER BY "id" FOR KEY SHARE`;

export function createEventLog(
  sql: Pick<Sql, 'query' | 'transaction'>,
  tail: EventTail,
  log: Logger,
): EventLog {
  let waiting: Pending[] = [];
  let writing: Promise<void> | undefined;
  /** How many events each writer has appended that are neither stored nor failed. */
  const unsettled = new Map<Writer, number>();
  const waiters = new Set<() => void>();

  /** Writers of which an event was not stored, and why: what they appended after it is dropped. */
  const failed = new WeakMap<Writer, unknown>();
  const held = new WeakSet<Writer>();
  /** Those of the batch that is being stored. */
  let underWay = new Set<Writer>();

  /** Stores batch after batch until nothing waits that may go. What comes meanwhile gathers for the next one. */
  async function writeAll(): Promise<void> {
    // Let what is emitted in this turn of the event loop come along.
    await new Promise((resolve) => setImmediate(resolve));
    for (let batch = takeBatch(); batch.length > 0; batch = takeBatch()) {
      underWay = new Set(batch.map(({ writer }) => writer));
      await storeBatch(batch);
      underWay = new Set();
      settle(batch);
    }
    writing = undefined;
  }

  /** Stores a batch. One that is refused is halved until the event is found that is to blame. Never rejects. */
  async function storeBatch(batch: Pending[]): Promise<void> {
    const events = batch.filter(({ writer }) => !failed.has(writer));
    const [event] = events;
    if (!event) return;
    try {
      await writeBatch(events);
    } catch (error) {
      const isRefused = isRefusal(error);
      if (isRefused && events.length > 1) {
        const half = Math.ceil(events.length / 2);
        await storeBatch(events.slice(0, half));
        await storeBatch(events.slice(half));
        return;
      }
      log.error({ err: error }, 'Events could not be stored.');
      const reason = isRefused ? new EventRefusedError(event, error) : error;
      for (const writer of new Set(events.map(({ writer }) => writer))) {
        failed.set(writer, reason);
        writer.fail(reason);
      }
    }
  }

  /** Of one writer, or of all that are not held: as many as one statement takes. */
  function takeBatch(only?: Writer): Pending[] {
    const batch: Pending[] = [];
    const left: Pending[] = [];
    let bytes = 0;
    for (const event of waiting) {
      const isAsked = only ? event.writer === only : !held.has(event.writer);
      if (isAsked && batch.length < BATCH_EVENTS && bytes < BATCH_BYTES) {
        batch.push(event);
        bytes += event.json?.length ?? 0;
      } else left.push(event);
    }
    waiting = left;
    return batch;
  }

  /** What a held writer has appended, after what is being stored: as much as one statement takes. */
  async function takeHeld(writer: Writer): Promise<Pending[]> {
    while (underWay.has(writer)) await nextBatch();
    return takeBatch(writer);
  }

  /** Stores events with something else, of which they speak: it is stored before any of them is shown. */
  async function storeBeside(
    writer: Writer,
    events: Pending[],
    store: (events: readonly PendingEvent[]) => Promise<number>,
  ): Promise<void> {
    refuseFailed(writer);
    try {
      hand(writer, events, await store(events));
    } catch (error) {
      if (events.length === 0 || !isRefusal(error)) throw error;
      // The data of an event may be to blame: by themselves, they tell.
      await store([]);
      await storeBatch(events);
      refuseFailed(writer);
    }
  }

  function refuseFailed(writer: Writer): void {
    if (failed.has(writer)) throw failed.get(writer);
  }

  async function writeBatch(batch: Pending[]): Promise<void> {
    const byWriter = new Map<Writer, Pending[]>();
    for (const event of batch) {
      const events = byWriter.get(event.writer);
      if (events) events.push(event);
      else byWriter.set(event.writer, [event]);
    }
    const runIds = Array.from(byWriter.keys(), ({ runId }) => runId);
    const placed = [...byWriter.values()].flatMap((events) =>
      events.map((event, i) => ({ ...event, place: i + 1 })),
    );
    const insert = (query: Query) =>
      query<{ token: string; first: number }>(INSERT_EVENTS, [
        runIds,
        Array.from(byWriter.keys(), ({ claimToken }) => claimToken),
        placed.map(({ writer }) => writer.claimToken),
        placed.map(({ place }) => place),
        placed.map(({ type }) => type),
        placed.map(({ namespace }) => namespace.join('|')),
        placed.map(({ json }) => json),
        placed.map(({ checkpointId }) => checkpointId ?? null),
        placed.map(({ at }) => at),
        byWriter.size,
        placed.length,
      ]);
    const rows = await insert(sql.query).catch((error: unknown) => {
      if (!isUniqueViolation(error) && !isTransactionRollback(error)) throw error;
      // Somebody took a number meanwhile, for a queued run that he ended, or each waited for the other. Nobody takes one while
      // the runs are locked.
      return sql.transaction(async (query) => {
        await query(LOCK_RUNS, [runIds]);
        return insert(query);
      });
    });
    const firsts = new Map(rows.map(({ token, first }) => [token, first]));
    for (const [writer, events] of byWriter) {
      const first = firsts.get(writer.claimToken);
      if (first === undefined) writer.fail(new ClaimLostError());
      else hand(writer, events, first);
    }
  }

  /** Hands events that were stored to their readers. */
  function hand(writer: Writer, events: readonly Pending[], first: number): void {
    if (events.length === 0) return;
    tail.publish(
      events.map((event, i): StoredEvent => ({
        threadId: writer.threadId,
        runId: writer.runId,
        number: first + i,
        type: event.type,
        namespace: event.namespace,
        data: event.data,
        checkpointId: event.checkpointId,
        createdAt: event.at,
        size: event.json === null ? 0 : Buffer.byteLength(event.json),
      })),
    );
  }

  function settle(batch: readonly Pending[]): void {
    for (const { writer } of batch) {
      const left = (unsettled.get(writer) ?? 0) - 1;
      if (left > 0) unsettled.set(writer, left);
      else unsettled.delete(writer);
    }
    for (const wake of waiters) wake();
    waiters.clear();
  }

  function nextBatch(): Promise<void> {
    return new Promise((resolve) => {
      waiters.add(resolve);
    });
  }

  return {
    async append(writer, event) {
      const json = toJson(event);
      waiting.push({ ...event, writer, json, at: new Date() });
      unsettled.set(writer, (unsettled.get(writer) ?? 0) + 1);
      if (!held.has(writer)) writing ??= writeAll();
      while ((unsettled.get(writer) ?? 0) > ROOM) await nextBatch();
    },
    async flush(writer) {
      while (unsettled.has(writer)) await nextBatch();
      return !failed.has(writer);
    },
    hold: (writer) => void held.add(writer),
    release(writer) {
      held.delete(writer);
      if (unsettled.has(writer)) writing ??= writeAll();
    },
    async storeWith(writer, store) {
      const events = await takeHeld(writer);
      try {
        await storeBeside(writer, events, store);
      } catch (error) {
        // Where an answer was lost they may be stored, and must not be again. Another attempt tells what they told, or goes on.
        failed.set(writer, error);
        throw error;
      } finally {
        settle(events);
      }
    },
    async endWith(writer, end) {
      const events = await takeHeld(writer);
      const isAll = !waiting.some((event) => event.writer === writer) && !failed.has(writer);
      const first = isAll ? await end(events).catch(() => undefined) : undefined;
      if (first === undefined) {
        waiting = [...events, ...waiting];
        return false;
      }
      hand(writer, events, first);
      settle(events);
      return true;
    },
  };
}

function toJson(event: NewEvent): string | null {
  if (event.data === undefined) return null;
  try {
    return JSON.stringify(event.data);
  } catch (error) {
    throw new EventRefusedError(event, error);
  }
}

/** SQLSTATE classes that speak of the data: its form, constraints, size and depth, triggers, and what the server cannot hold. */
const REFUSALS = /^(22|23|54|P0|XX)/;

/** Whether the database refused what it was given, and would refuse it again. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && REFUSALS.test(String(error.code));
}

/** SQL: the number of a thread's newest event, also after it was removed. `threadId` is SQL too. */
export function lastNumberOf(threadId: string): string {
  return `greatest(coalesce((SELECT max("number") FROM "RunEvent" WHERE "threadId" = ${threadId}), 0),
  coalesce((SELECT "lastEvent" FROM "Thread" WHERE "id" = ${threadId}), 0))`;
}

/** The same, asked. */
export async function lastNumber(query: Query, threadId: string): Promise<number> {
  const [row] = await query<{ last: number }>(`SELECT ${lastNumberOf('$1')} AS "last"`, [threadId]);
  return row?.last ?? 0;
}

/**
 * SQL: numbers and stores events of a run, where `table` has a row. `threadId` and `runId` are SQL too; `eventColumns` are the
 * parameters from number `columns` on. Without the thread's lock, somebody else may take a number at the same time, which is
 * a unique violation.
 */
export function appendEvents(
  table: string,
  { threadId, runId, columns }: { threadId: string; runId: string; columns: number },
): string {
  const [type, namespace, data, checkpoint, at] = [0, 1, 2, 3, 4].map((i) => `$${columns + i}`);
  return `INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace", "data", "checkpointId", "createdAt")
    SELECT ${threadId}, ${runId}, last.number + e.place, e.type::"RunEventType", string_to_array(e.namespace, '|'), e.data::json,
      e.checkpoint, coalesce(e.at, now())
    FROM ${table}, (SELECT ${lastNumberOf(threadId)} AS number) AS last,
      unnest(${type}::text[], ${namespace}::text[], ${data}::text[], ${checkpoint}::uuid[], ${at}::timestamptz[])
        WITH ORDINALITY AS e(type, namespace, data, checkpoint, at, place) RETURNING *`;
}

/** The parameters of a statement that contains `appendEvents`, which has five. */
export function eventColumns(events: readonly PendingEvent[]): unknown[] {
  return [
    events.map(({ type }) => type),
    events.map(({ namespace }) => namespace.join('|')),
    events.map(({ json }) => json),
    events.map(({ checkpointId }) => checkpointId ?? null),
    events.map(({ at }) => at ?? null),
  ];
}

/** An event that whoever ends a run, or decides about it, adds himself. */
export function toPending(event: Pick<NewEvent, 'type' | 'data'>): PendingEvent {
  return { namespace: [], ...event, json: JSON.stringify(event.data) };
}
