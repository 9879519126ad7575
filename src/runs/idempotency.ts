import { createHash } from 'node:crypto';
import { canReadRun } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { BadInputError, ConflictError, isUniqueViolation } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { isRecord } from '../json.ts';

const LONGEST_KEY = 255;

/** The idempotency key of a request, known to its viewer only: the same request with the same key returns the same run. */
export interface IdempotencyKey {
  key: string;
  /** The hash of the whole request. */
  inputHash: Buffer;
}

/** Reads the key of a request; undefined without a key. The order of keys in objects does not change the hash. */
export function readKey(
  argument: string,
  { idempotencyKey: key, ...input }: { idempotencyKey?: string | null | undefined },
): IdempotencyKey | undefined {
  if (key == null) return undefined;
  if (key === '' || key.length > LONGEST_KEY) {
    throw new BadInputError(
      argument,
      (name) => `${name(argument)} has ${key.length} characters; it must have 1 to ${LONGEST_KEY}.`,
    );
  }
  const given = Object.entries(input).filter(([, value]) => value != null);
  const text = JSON.stringify(Object.fromEntries(given), (_key, value: unknown) =>
    isRecord(value) ? sorted(value) : value,
  );
  return { key, inputHash: createHash('sha256').update(text).digest() };
}

function sorted(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * The run of an earlier request of the viewer with this key. Throws ConflictError if the requests differ, or if the viewer may no
 * longer read the run.
 */
export async function findRunByKey(
  query: Query,
  viewer: Viewer,
  { key, inputHash }: IdempotencyKey,
): Promise<Run | undefined> {
  const [found] = await query<Run & { isReadable: boolean }>(
    sql`SELECT *, ${canReadRun(viewer)} AS "isReadable" FROM "Run" WHERE "tenant" = ${viewer.tenant} AND "requester" = ${viewer.identity}
      AND "idempotencyKey" = ${key}`,
  );
  if (!found) return undefined;
  const { isReadable, ...run } = found;
  if (!isReadable) {
    throw new ConflictError(
      (name) => `The ${name('idempotencyKey')} "${key}" belongs to a run of another owner.`,
    );
  }
  if (inputHash.equals(run.inputHash ?? Buffer.alloc(0))) return run;
  throw new ConflictError(
    (name) =>
      `The ${name('idempotencyKey')} "${key}" belongs to run ${run.id}, with a different input.`,
  );
}

/** Whether a statement failed because a run has its key. */
export function isKeyTaken(error: unknown): boolean {
  return isUniqueViolation(error, 'Run_tenant_requester_idempotencyKey_key');
}

/** Locks the key until the end of the transaction: concurrent requests with the same key wait. */
export async function lockKey(
  query: Query,
  { tenant, identity }: Viewer,
  { key }: IdempotencyKey,
): Promise<void> {
  const name = JSON.stringify([tenant, identity, key]);
  await query(sql`SELECT pg_advisory_xact_lock(hashtextextended(${name}, 1))`);
}
