import {
  checkConfigSize,
  checkMetadata,
  checkObject,
  type InputLimits,
} from '../assistants/limits.ts';
import { withNames, type ClientText } from '../client-text.ts';
import type { Config } from '../config.ts';
import type { Query } from '../db/query.ts';
import { param, sql, type Statement } from '../db/sql.ts';
import { BadInputError, LimitError, StateLimitError } from '../errors.ts';

/** Ten years. */
const LONGEST_DELAY_SECONDS = 315_360_000;
/** 23 days: a timer of Node.js waits 24 days at most. */
const LONGEST_TIMEOUT_SECONDS = 2_000_000;

interface Times {
  afterSeconds?: number | null | undefined;
  timeoutSeconds?: number | null | undefined;
}

/** Refuses times out of range, and a timeout above RUN_SECONDS. */
export function checkTimes(
  { runSeconds }: Pick<Config, 'runSeconds'>,
  argument: string,
  { afterSeconds, timeoutSeconds }: Times,
): void {
  checkSeconds(`${argument}.afterSeconds`, afterSeconds, { min: 0, max: LONGEST_DELAY_SECONDS });
  const timeout = `${argument}.timeoutSeconds`;
  checkSeconds(timeout, timeoutSeconds, { min: 0.001, max: LONGEST_TIMEOUT_SECONDS });
  if (timeoutSeconds == null || timeoutSeconds <= runSeconds) return;
  throw new LimitError(
    (name) => `${name(timeout)} is ${timeoutSeconds}; at most ${runSeconds} s are allowed.`,
    'RUN_SECONDS',
    timeout,
  );
}

/** Checks the configuration of the run: the assistant's, with the request's on top. */
export function checkSizes(
  limits: InputLimits,
  argument: string,
  {
    config,
    context,
    metadata,
  }: Record<'config' | 'metadata', Record<string, unknown>> & { context: unknown },
): void {
  checkConfigSize(limits, `${argument}.config`, config);
  checkObject(limits, `${argument}.context`, context);
  checkMetadata(limits, `${argument}.metadata`, {
    ...(config['metadata'] as object | undefined),
    ...metadata,
  });
}

/** The input or the command of a run as JSON, or null. Throws StateLimitError. */
export function toInputJson(
  { stateLimitBytes }: Pick<Config, 'stateLimitBytes'>,
  argument: string,
  input: unknown,
): string | null {
  return input == null
    ? null
    : toLimitedJson(input, {
        what: (name) => name(argument),
        mostBytes: stateLimitBytes,
        argument,
      });
}

/** The value as JSON. Throws StateLimitError, with `what` for the value, if the JSON has more than `mostBytes`. */
export function toLimitedJson(
  value: unknown,
  { what, mostBytes, argument }: { what: ClientText; mostBytes: number; argument?: string },
): string {
  const json = JSON.stringify(value);
  const bytes = Buffer.byteLength(json);
  if (bytes <= mostBytes) return json;
  throw new StateLimitError(
    (name) => `${withNames(what, name)} has ${bytes} bytes as JSON`,
    mostBytes,
    argument,
  );
}

function checkSeconds(
  argument: string,
  seconds: number | null | undefined,
  { min, max }: { min: number; max: number },
): void {
  if (seconds == null || (seconds >= min && seconds <= max)) return;
  throw new BadInputError(
    argument,
    (name) => `${name(argument)} is ${seconds}; it must be from ${min} to ${max}.`,
  );
}

/** The room for a new run within a limit. */
export interface Room {
  /** The run is accepted if there are fewer runs. */
  most: number;
  /** Locks make the count of runs exact. */
  isExact: boolean;
}

/** The room in the queue of a thread, and for the active runs of an owner. */
export interface Rooms {
  room: Room;
  /** Undefined: no limit. */
  ownerRoom: Room | undefined;
  ownerStorageLimit: number;
}

/** The limits of owners and threads for new runs. */
export type RunLimits = Pick<Config, 'queuedRunLimit' | 'ownerRunLimit' | 'ownerStorageLimit'>;

/** Without locks, concurrent insertions do not count each other. The largest number of such insertions at a time. */
const MOST_AT_ONCE = 50;

/**
 * The room within the limits. Exact with the locks of the thread and of its owner; without them, there is less room:
 * `refuseQueued` and `refuseOwner` then throw NearlyFullError.
 */
export function roomsIn(
  { queuedRunLimit, ownerRunLimit, ownerStorageLimit }: RunLimits,
  { isExact }: { isExact: boolean },
): Rooms {
  const within = (limit: number) => ({ most: isExact ? limit : limit - MOST_AT_ONCE, isExact });
  return {
    room: within(queuedRunLimit),
    ownerRoom: ownerRunLimit === 0 ? undefined : within(ownerRunLimit),
    ownerStorageLimit,
  };
}

/** A limit may be reached: counts under locks must decide. */
export class NearlyFullError extends Error {}

/** The number of queued runs of the thread, counted up to `most`. */
export function queuedRuns(threadId: unknown, most: unknown): Statement {
  return sql`(SELECT count(*) FROM (
    SELECT FROM "Run" r WHERE r."threadId" = ${threadId} AND r."status" = 'PENDING' LIMIT ${most}) queued)`;
}

/** An owner of runs, as SQL. */
interface Owner {
  tenant: unknown;
  owner: unknown;
}

/** Whether the owner may have one more run. */
export function hasOwnerRoom({ tenant, owner }: Owner, room: Room | undefined): Statement {
  if (!room) return sql`true`;
  const limit = param(Math.max(room.most, 0));
  const runs = sql`SELECT 1 FROM "Run" r WHERE r."tenant" = ${tenant} AND r."owner" = ${owner}`;
  // Each status has an index of its own; the index of the owner also has all ended runs.
  return sql`(SELECT count(*) FROM (
    ${runs} AND r."status" = 'PENDING' UNION ALL ${runs} AND r."status" = 'RUNNING' LIMIT ${limit}) active) < ${limit}`;
}

/** Throws if the owner has too many runs. */
export async function refuseOwner(
  query: Query,
  { argument, ...owner }: Owner & { argument: string },
  room: Room | undefined,
): Promise<void> {
  if (!room) return;
  const [found] = await query<{ hasRoom: boolean }>(
    sql`SELECT ${hasOwnerRoom(owner, room)} AS "hasRoom"`,
  );
  if (found?.hasRoom) return;
  if (!room.isExact) throw new NearlyFullError();
  throw new LimitError(
    `The owner has ${room.most} pending and running runs; no more are accepted.`,
    'OWNER_RUN_LIMIT',
    argument,
  );
}

/** Throws if the queue of the thread is full. */
export async function refuseQueued(
  query: Query,
  { argument, threadId }: { argument: string; threadId: string },
  { most, isExact }: Room,
): Promise<void> {
  const limit = param(Math.max(most, 0));
  const [found] = await query<{ isFull: boolean }>(
    sql`SELECT ${queuedRuns(threadId, limit)} >= ${limit} AS "isFull"`,
  );
  if (!found?.isFull) return;
  if (!isExact) throw new NearlyFullError();
  throw new LimitError(
    `Thread ${threadId} has ${most} queued runs; no more are accepted.`,
    'QUEUED_RUN_LIMIT',
    `${argument}.threadId`,
  );
}
