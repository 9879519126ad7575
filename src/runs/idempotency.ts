import { createHash } from 'node:crypto';
import type { Query } from '../db/open.ts';
import { BadInputError, ConflictError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { isRecord } from '../json.ts';

const LONGEST_KEY = 255;

/** A request that may be repeated: it gives the same run. */
export interface Repeatable {
  key: string;
  /** Of the whole input. */
  inputHash: Buffer;
}

/** What makes a request repeatable; undefined where it has no key. Order of keys in objects does not matter. */
export function repeatable(
  argument: string,
  { idempotencyKey: key, ...input }: { idempotencyKey?: string | null | undefined },
): Repeatable | undefined {
  if (key == null) return undefined;
  if (key === '' || key.length > LONGEST_KEY) {
    throw new BadInputError(argument, `${argument} must have 1 to ${LONGEST_KEY} characters.`);
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

/** The run that an earlier request with this key made. Throws ConflictError where that had another input. */
export async function findRepeated(
  query: Query,
  { key, inputHash }: Repeatable,
): Promise<Run | undefined> {
  const [run] = await query<Run>(`SELECT * FROM "Run" WHERE "idempotencyKey" = $1`, [key]);
  if (!run || inputHash.equals(run.inputHash ?? Buffer.alloc(0))) return run;
  throw new ConflictError(
    `The idempotencyKey "${key}" was used for run ${run.id}, with another input.`,
  );
}

/** Lets one request with this key at a time look and insert, until its transaction ends. */
export async function lockKey(query: Query, { key }: Repeatable): Promise<void> {
  await query('SELECT pg_advisory_xact_lock(hashtextextended($1, 1))', [key]);
}
