import type { Query, Sql } from '../db/query.ts';
import { MOST_TRIES, retryUntilStored } from '../db/retry.ts';
import { raw, sql } from '../db/sql.ts';
import {
  ClaimLostError,
  DatabaseAwayError,
  isDatabaseError,
  isInternalError,
  isTransactionRollback,
  isUniqueViolation,
  StatementRefusedError,
} from '../errors.ts';
import type { Logger } from '../log.ts';
import { lastNumberOf, namespaceText, type PendingEvent } from './append.ts';
import type { StoredEvent } from './event.ts';
import { EventRefusedError } from './measure.ts';
import type { EventTail } from './tail.ts';

/** An attempt that emits events, with its claim. */
export interface Writer {
  readonly runId: string;
  readonly threadId: string;
  readonly claimToken: string;
  /** The attempt has stopped: its events are no longer stored. */
  readonly isOver?: boolean;
}

/** The events of a single attempt, in order. */
export interface EventSource {
  readonly writer: Writer;
  /** Removes and returns the first events, up to the limits. Called right before their statement is sent. */
  takeEvents(limits: BatchLimits): PendingEvent[];
}

/** Limits for the events of a statement. Its last event may exceed the bytes. */
export interface BatchLimits {
  events: number;
  bytes: number;
}

/** Stores events of several attempts of this process in common statements, and publishes them to the readers. */
export interface EventBatches {
  /**
   * Stores the first events of the source with the next statement. Resolves when the events are stored. Rejects with
   * ClaimLostError, or with EventRefusedError if the database refuses an event of this source.
   */
  store(source: EventSource): Promise<void>;
  /** Stores these events without those of other attempts. The events before a refused event are stored. Rejects like `store`. */
  storeAlone(writer: Writer, events: readonly PendingEvent[]): Promise<void>;
}

/** Half of a reader's buffer. */
export const LARGEST_BATCH: BatchLimits = { events: 500, bytes: 524_288 };

/** The events of a source in a statement. */
interface Part {
  writer: Writer;
  events: readonly PendingEvent[];
}

interface Waiting {
  resolve(): void;
  reject(error: unknown): void;
}

export function createEventBatches(
  database: Pick<Sql, 'query' | 'transaction'>,
  tail: Pick<EventTail, 'publish'>,
  log: Logger,
): EventBatches {
  const store = { database, tail, log };
  const waiting = new Map<EventSource, Waiting>();
  let isStoring = false;

  async function storeAll(): Promise<void> {
    // Events that the attempts emit in this turn of the event loop go into the same statement.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.size > 0) await storeNext(store, waiting);
    isStoring = false;
  }

  return {
    store: (source) =>
      new Promise((resolve, reject) => {
        waiting.set(source, { resolve, reject });
        if (isStoring) return;
        isStoring = true;
        void storeAll();
      }),
    async storeAlone(writer, events) {
      const failure = (await storeParts(store, [{ writer, events }])).get(writer);
      if (failure !== undefined) throw failure;
    },
  };
}

interface Store {
  database: Pick<Sql, 'query' | 'transaction'>;
  tail: Pick<EventTail, 'publish'>;
  log: Logger;
}

async function storeNext(store: Store, waiting: Map<EventSource, Waiting>): Promise<void> {
  const parts: (Part & Waiting)[] = [];
  const room = { ...LARGEST_BATCH };
  for (const [source, waiter] of waiting) {
    if (room.events <= 0 || room.bytes <= 0) break;
    waiting.delete(source);
    const events = source.takeEvents(room);
    room.events -= events.length;
    room.bytes -= bytesOf(events);
    parts.push({ ...waiter, writer: source.writer, events });
  }
  const failures = await storeParts(store, parts);
  for (const part of parts) {
    const failure = failures.get(part.writer);
    if (failure === undefined) part.resolve();
    else part.reject(failure);
  }
}

/** Never rejects: returns a failure for each writer with unstored events. */
async function storeParts(store: Store, parts: readonly Part[]): Promise<Map<Writer, unknown>> {
  const wanted = () => parts.filter(({ writer, events }) => !writer.isOver && events.length > 0);
  if (wanted().length === 0) return new Map();
  try {
    return await retryUntilStored(() => insert(store, wanted()), mayRepeat, {
      isWanted: () => wanted().length > 0,
      onAway: (error) => store.log.warn({ err: error }, 'events wait for the database'),
    });
  } catch (error) {
    return storeHalves(store, wanted(), error);
  }
}

/** Halves a refused batch until the refused event is alone. */
async function storeHalves(
  store: Store,
  parts: readonly Part[],
  error: unknown,
): Promise<Map<Writer, unknown>> {
  const isRefused = isRefusal(error);
  const count = parts.reduce((sum, { events }) => sum + events.length, 0);
  if (isRefused && count > 1) {
    const [first, second] = halve(parts, Math.ceil(count / 2));
    const failures = await storeParts(store, first);
    const later = await storeParts(
      store,
      second.filter(({ writer }) => !failures.has(writer)),
    );
    return new Map([...failures, ...later]);
  }
  store.log.error({ err: error }, 'Events could not be stored.');
  return new Map(
    parts.map(({ writer, events: [event] }) => {
      const reason = isRefused && event ? new EventRefusedError(event, error) : withoutText(error);
      return [writer, reason];
    }),
  );
}

/** Inserts and publishes the events. Returns ClaimLostError for each writer with a lost claim. */
async function insert(
  { database, tail }: Store,
  parts: readonly Part[],
): Promise<Map<Writer, unknown>> {
  const rows = await insertEvents(database.query, parts).catch((error: unknown) => {
    if (!isUniqueViolation(error) && !isTransactionRollback(error)) throw error;
    // Another statement has used a number, or there was a deadlock. While this transaction locks the runs, numbers stay free.
    return database.transaction(async (query) => {
      const ids = parts.map(({ writer }) => writer.runId);
      await query(
        sql`SELECT FROM "Run" WHERE "id" = ANY(${ids}::uuid[]) ORDER BY "id" FOR KEY SHARE`,
      );
      return insertEvents(query, parts);
    });
  });
  const firsts = new Map(rows.map(({ token, first }) => [token, first]));
  const lost = new Map<Writer, unknown>();
  for (const { writer, events } of parts) {
    const first = firsts.get(writer.claimToken);
    if (first === undefined) lost.set(writer, new ClaimLostError());
    else tail.publish(numbered(writer, events, first));
  }
  return lost;
}

/** Events with their numbers, from `first` on. */
export function numbered(
  { threadId, runId }: Pick<Writer, 'threadId' | 'runId'>,
  events: readonly PendingEvent[],
  first: number,
): StoredEvent[] {
  return events.map(({ type, namespace, data, checkpointId, at, size }, i) => ({
    threadId,
    runId,
    number: first + i,
    type,
    namespace,
    data,
    checkpointId,
    createdAt: at ?? new Date(),
    size,
  }));
}

function bytesOf(events: readonly PendingEvent[]): number {
  return events.reduce((sum, { size }) => sum + size, 0);
}

/** The first `count` events, and the remaining events. */
function halve(parts: readonly Part[], count: number): [Part[], Part[]] {
  const first: Part[] = [];
  const second: Part[] = [];
  let room = count;
  for (const { writer, events } of parts) {
    first.push({ writer, events: events.slice(0, room) });
    second.push({ writer, events: events.slice(room) });
    room = Math.max(room - events.length, 0);
  }
  return [first, second];
}

/** A valid claim, and the number of its first event. */
interface FencedRow {
  token: string;
  first: number;
}

/**
 * Stores the events of the writers with a valid claim. The statement locks the runs in the order of their ids, like
 * `lockThreads`, to avoid deadlocks. The lookup of each run is LATERAL, because PostgreSQL does not reorder a lookup with a
 * locking clause.
 *
 * Each LIMIT is the length of its array. With it, the planner expects few rows for all values, so that PostgreSQL uses a generic
 * plan and does not plan each execution again.
 */
function insertEvents(query: Query, parts: readonly Part[]): Promise<FencedRow[]> {
  const writers = parts.map(({ writer }) => writer);
  const rows = parts.flatMap(({ writer, events }) =>
    events.map((event, i) => ({ ...event, token: writer.claimToken, ordinal: i + 1 })),
  );
  return query<FencedRow>(
    sql`WITH claims AS (
  SELECT c."run", c."token", r."threadId", ${lastNumberOf(raw('r."threadId"'))} AS "last"
  FROM (SELECT * FROM unnest(${writers.map(({ runId }) => runId)}::uuid[],
      ${writers.map(({ claimToken }) => claimToken)}::uuid[]) AS c("run", "token")
    ORDER BY "run" LIMIT ${writers.length}) c,
    LATERAL (SELECT r."threadId" FROM "Run" r WHERE r."id" = c."run" AND r."claimToken" = c."token" FOR KEY SHARE) r
), stored AS (
  INSERT INTO "RunEvent" ("runId", "threadId", "number", "type", "namespace", "data", "checkpointId", "createdAt")
  SELECT claims."run", claims."threadId", claims."last" + e."ordinal", e."type"::"RunEventType",
    string_to_array(e."namespace", '|'), e."data"::json, e."checkpointId", coalesce(e."at", now())
  FROM (SELECT * FROM unnest(${rows.map(({ token }) => token)}::uuid[], ${rows.map(({ ordinal }) => ordinal)}::int[],
      ${rows.map(({ type }) => type)}::text[], ${rows.map(namespaceText)}::text[], ${rows.map(({ json }) => json)}::text[],
      ${rows.map(({ checkpointId }) => checkpointId ?? null)}::uuid[], ${rows.map(({ at }) => at ?? null)}::timestamptz[])
    AS e("token", "ordinal", "type", "namespace", "data", "checkpointId", "at") LIMIT ${rows.length}) e
  JOIN claims ON claims."token" = e."token"
)
SELECT "token", "last" + 1 AS "first" FROM claims`,
  );
}

/** A statement with an unknown outcome is not repeated, because it could store its events twice. */
function mayRepeat(error: unknown, tries: number): boolean {
  if (isInternalError(error)) return tries < MOST_TRIES;
  return error instanceof DatabaseAwayError && error.changedNothing;
}

/** Hides the SQL of a database error from clients. */
function withoutText(error: unknown): unknown {
  return isDatabaseError(error) ? new StatementRefusedError(error) : error;
}

/** SQLSTATE classes of errors in the data: its form, constraints, size, depth, triggers, internal limits. */
const REFUSALS = /^(22|23|54|P0|XX)/;

/** True if the database refused the data and would refuse it again. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && REFUSALS.test(String(error.code));
}
