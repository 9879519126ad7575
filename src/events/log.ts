import type { Query } from '../db/open.ts';
import { ClaimLostError, isUniqueViolation, summarizeError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { NewEvent, StoredEvent } from './event.ts';
import type { EventTail } from './tail.ts';

/** An attempt as the log sees it: what its events belong to, and what its claim is. */
export interface Writer {
  readonly runId: string;
  readonly threadId: string;
  readonly claimToken: string;
  /** The number of the thread's newest event; kept up to date here. */
  lastNumber: number;
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
}

interface Pending extends NewEvent {
  writer: Writer;
  json: string | null;
  at: Date;
}

const BATCH_EVENTS = 500;
/** Half of what a reader's buffer holds. */
const BATCH_BYTES = 524_288;
/** A writer that has this many events waiting waits itself. */
const ROOM = 1000;
const ATTEMPTS = 5;

// The fence of every write: see checkpoints/store.ts. Runs are locked in the order of their ids, so that two statements do
// not wait for each other; a lookup that locks is not turned into a join. A token that is missing in the answer is a claim that was lost.
const INSERT_EVENTS = `WITH claims AS (
  SELECT c.token FROM (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS c(run, token) ORDER BY run) c,
    LATERAL (SELECT FROM "Run" r WHERE r."id" = c.run AND r."claimToken" = c.token FOR KEY SHARE) r
), stored AS (
  INSERT INTO "RunEvent" ("runId", "threadId", "number", "type", "namespace", "data", "checkpointId", "createdAt")
  SELECT e.run, e.thread, e.number, e.type::"RunEventType", string_to_array(e.namespace, '|'), e.data::json, e.checkpoint, e.at
  FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::uuid[], $11::timestamptz[])
    AS e(run, token, thread, number, type, namespace, data, checkpoint, at)
  JOIN claims ON claims.token = e.token
)
SELECT "token" FROM claims`;

export function createEventLog(query: Query, tail: EventTail, log: Logger): EventLog {
  let waiting: Pending[] = [];
  let writing: Promise<void> | undefined;
  /** How many events each writer has appended that are neither stored nor failed. */
  const unsettled = new Map<Writer, number>();
  const waiters = new Set<() => void>();

  /** Writers of which an event was not stored: what they appended after it is dropped. */
  const failed = new WeakSet<Writer>();

  /** Stores batch after batch until nothing waits. What comes meanwhile gathers for the next one. */
  async function writeAll(): Promise<void> {
    // Let what is emitted in this turn of the event loop come along.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      const batch = takeBatch();
      await store(batch);
      settle(batch);
    }
    writing = undefined;
  }

  /** Stores a batch. One that is refused is halved until the event is found that is to blame. Never rejects. */
  async function store(batch: Pending[]): Promise<void> {
    const events = batch.filter(({ writer }) => !failed.has(writer));
    const [event] = events;
    if (!event) return;
    try {
      await writeBatch(events);
    } catch (error) {
      const isRefused = isRefusal(error);
      if (isRefused && events.length > 1) {
        const half = Math.ceil(events.length / 2);
        await store(events.slice(0, half));
        await store(events.slice(half));
        return;
      }
      log.error({ err: error }, 'Events could not be stored.');
      const reason = isRefused ? new EventRefusedError(event, error) : error;
      for (const writer of new Set(events.map(({ writer }) => writer))) {
        failed.add(writer);
        writer.fail(reason);
      }
    }
  }

  function takeBatch(): Pending[] {
    let bytes = 0;
    let size = 0;
    while (size < waiting.length && size < BATCH_EVENTS && bytes < BATCH_BYTES) {
      bytes += waiting[size]?.json?.length ?? 0;
      size += 1;
    }
    const batch = waiting.slice(0, size);
    waiting = waiting.slice(size);
    return batch;
  }

  async function writeBatch(batch: Pending[]): Promise<void> {
    const byWriter = new Map<Writer, Pending[]>();
    for (const event of batch) {
      const events = byWriter.get(event.writer);
      if (events) events.push(event);
      else byWriter.set(event.writer, [event]);
    }
    for (let attempt = 1; ; attempt++) {
      const numbered = Array.from(byWriter, ([writer, events]) =>
        events.map((event, i) => ({ ...event, number: writer.lastNumber + 1 + i })),
      ).flat();
      try {
        const rows = await query<{ token: string }>(INSERT_EVENTS, [
          Array.from(byWriter.keys(), ({ runId }) => runId),
          Array.from(byWriter.keys(), ({ claimToken }) => claimToken),
          numbered.map(({ writer }) => writer.runId),
          numbered.map(({ writer }) => writer.claimToken),
          numbered.map(({ writer }) => writer.threadId),
          numbered.map(({ number }) => number),
          numbered.map(({ type }) => type),
          numbered.map(({ namespace }) => namespace.join('|')),
          numbered.map(({ json }) => json),
          numbered.map(({ checkpointId }) => checkpointId ?? null),
          numbered.map(({ at }) => at),
        ]);
        const held = new Set(rows.map(({ token }) => token));
        for (const [writer, events] of byWriter) {
          if (held.has(writer.claimToken)) hand(writer, events);
          else writer.fail(new ClaimLostError());
        }
        return;
      } catch (error) {
        if (attempt === ATTEMPTS || !isUniqueViolation(error)) throw error;
        // Another transaction took the number for a queued run that it ended: go on after it.
        for (const writer of byWriter.keys())
          writer.lastNumber = await lastNumber(query, writer.threadId);
      }
    }
  }

  function hand(writer: Writer, events: Pending[]): void {
    const first = writer.lastNumber + 1;
    writer.lastNumber += events.length;
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

  function settle(batch: Pending[]): void {
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
      writing ??= writeAll();
      while ((unsettled.get(writer) ?? 0) > ROOM) await nextBatch();
    },
    async flush(writer) {
      while (unsettled.has(writer)) await nextBatch();
      return !failed.has(writer);
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

const LAST_NUMBER = `greatest(coalesce((SELECT max("number") FROM "RunEvent" WHERE "threadId" = $1), 0),
  coalesce((SELECT "lastEvent" FROM "Thread" WHERE "id" = $1), 0))`;

/** The number of a thread's newest event, also after old ones were removed. */
export async function lastNumber(query: Query, threadId: string): Promise<number> {
  const [row] = await query<{ last: number }>(`SELECT ${LAST_NUMBER} AS "last"`, [threadId]);
  return row?.last ?? 0;
}

/**
 * SQL: numbers and stores events of a run, under its thread's lock, where `table` has a row. Its parameters are those of
 * `lockedEvents`.
 */
export function appendEvents(table: string): string {
  return `INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace", "data")
    SELECT $1, $2, last.number + e.place, e.type::"RunEventType", '{}', e.data::json
    FROM ${table}, (SELECT ${LAST_NUMBER} AS number) AS last,
      unnest($3::text[], $4::text[]) WITH ORDINALITY AS e(type, data, place) RETURNING *`;
}

/** The first four parameters of a statement that contains `appendEvents`. */
export function lockedEvents(
  { id, threadId }: { id: string; threadId: string },
  events: readonly Pick<NewEvent, 'type' | 'data'>[],
): unknown[] {
  return [
    threadId,
    id,
    events.map(({ type }) => type),
    events.map(({ data }) => JSON.stringify(data ?? null)),
  ];
}
