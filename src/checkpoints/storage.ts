import type { Query } from '../db/query.ts';
import { join, param, raw, sql, type Statement } from '../db/sql.ts';
import { LimitError } from '../errors.ts';

// The stored bytes of threads and of their owners. A measurement stores the bytes of a thread in "ThreadStorage", and a trigger
// keeps the sums in "OwnerStorage". Without OWNER_STORAGE_LIMIT there are no measurements.

/** The columns of each table whose sizes vary. */
const CONTENT = {
  Checkpoint: ['metadata', 'versions', 'versionsSeen'],
  CheckpointHead: ['namespace'],
  CheckpointWrite: ['value', 'ranges'],
  ChannelValue: ['value', 'ranges'],
  ChannelItem: ['value'],
} satisfies Record<string, string[]>;

/** The approximate bytes of the other columns and of the header of a row. */
const ROW_BYTES = 50;

/**
 * SQL: the bytes of a thread's checkpoints, writes, values and items, after the compression by PostgreSQL. The size of a column is
 * known without a read of its content; the size of a whole row is not.
 */
export function bytesOf(threadId: unknown): Statement {
  const tables = Object.keys(CONTENT) as (keyof typeof CONTENT)[];
  const sums = tables.map(
    (table) =>
      sql`(SELECT coalesce(sum(${rowBytes(table)}), 0) FROM ${raw(`"${table}"`)} WHERE "threadId" = ${threadId})`,
  );
  return sql`(${join(sums, ' + ')})::bigint`;
}

/** SQL: the bytes of a row of a table. */
export function rowBytes(table: keyof typeof CONTENT): Statement {
  const sizes = CONTENT[table].map((column) => `coalesce(pg_column_size("${column}"), 0)`);
  return raw([ROW_BYTES, ...sizes].join(' + '));
}

/** Measures a thread, if there is a limit. The statement waits for a deletion of the thread. */
export async function measureStorage(
  query: Query,
  threadId: string,
  ownerStorageLimit: number,
): Promise<void> {
  if (ownerStorageLimit === 0) return;
  const id = param(threadId);
  await query(
    sql`INSERT INTO "ThreadStorage" AS stored ("threadId", "tenant", "owner", "bytes", "threadUpdatedAt")
      SELECT t."id", t."tenant", t."owner", ${bytesOf(raw('t."id"'))}, t."updatedAt" FROM "Thread" t
      WHERE t."id" = ${id}::uuid FOR KEY SHARE OF t
      ON CONFLICT ("threadId") DO UPDATE SET "bytes" = EXCLUDED."bytes", "threadUpdatedAt" = EXCLUDED."threadUpdatedAt"
      WHERE stored."threadUpdatedAt" <= EXCLUDED."threadUpdatedAt"`,
    { takesLong: true },
  );
}

/** An owner of threads, as SQL. */
interface Owner {
  tenant: unknown;
  owner: unknown;
}

/** SQL: the measured bytes of all threads of an owner. */
function bytesOfOwner({ tenant, owner }: Owner): Statement {
  return sql`coalesce((SELECT o."bytes" FROM "OwnerStorage" o WHERE o."tenant" = ${tenant} AND o."owner" = ${owner}), 0)`;
}

/** SQL: whether the owner may store more. 0: no limit. */
export function hasStorageRoom(owner: Owner, ownerStorageLimit: number): Statement {
  if (ownerStorageLimit === 0) return sql`true`;
  return sql`${bytesOfOwner(owner)} <= ${ownerStorageLimit}::bigint`;
}

/** Throws if the threads of the owner hold more bytes than the limit. 0: no limit. */
export async function refuseStorage(
  query: Query,
  { argument, ...owner }: Owner & { argument?: string },
  ownerStorageLimit: number,
): Promise<void> {
  if (ownerStorageLimit === 0) return;
  const [found] = await query<{ bytes: number }>(sql`SELECT ${bytesOfOwner(owner)} AS "bytes"`);
  const bytes = found?.bytes ?? 0;
  if (bytes <= ownerStorageLimit) return;
  throw new LimitError(
    `The threads of the owner hold ${bytes} bytes; at most ${ownerStorageLimit} are allowed.`,
    'OWNER_STORAGE_LIMIT',
    argument,
  );
}
