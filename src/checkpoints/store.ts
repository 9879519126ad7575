import type { Query, QueryOptions } from '../db/query.ts';
import { param, sql, type Statement } from '../db/sql.ts';
import { cutItems, NO_ROWS, rowsOf, storedValues, type Storable } from './records.ts';
import {
  BY_KEY,
  NO_RUN,
  storeStatement,
  type StatementContent,
  type Stored,
} from './store-statement.ts';
import type { SerializedValue } from './units.ts';
import type { Item, ItemNumbers, KnownItem } from './items.ts';
import type { StoredValue } from './values.ts';

/** The claim of the writing attempt. After the claim is lost, its statements store nothing. Null: an edit by hand. */
export type Fence = { runId: string; claimToken: string } | null;

/** The thread and the writer of a statement, and the known numbers of the thread's items. */
export interface StoringBy {
  threadId: string;
  fence: Fence;
  items: ItemNumbers;
}

/**
 * Stores checkpoints, writes and events, all or nothing. Returns undefined, with nothing stored, if the claim is lost. Large
 * items are stored first, by statements of their own: other statements can run in between. No row refers to these items yet.
 */
export function store(
  query: Query,
  { threadId, fence, items }: StoringBy,
  storable: Storable,
): Promise<Stored | undefined> {
  const thread = param(threadId);
  const runId = param(fence?.runId ?? NO_RUN);
  const claim = fence ? claimOf(runId, fence.claimToken) : noClaim(runId);
  const statementOf: StatementOf = (content) =>
    storeStatement(claim, { ...content, threadId: thread, runId });
  return storeBy<Stored>(query, { threadId, items, goesAhead: true }, { storable, statementOf });
}

/**
 * The fence (src/README.md). FOR KEY SHARE makes it a lock: a claim locks the run's row FOR UPDATE, so it waits for a running
 * statement. A later statement finds another token, or none after the end of the run.
 */
function claimOf(runId: unknown, claimToken: string): Statement {
  return sql`claim AS (
  SELECT "id" FROM "Run" WHERE "id" = ${runId}::uuid AND "claimToken" = ${claimToken}::uuid FOR KEY SHARE)`;
}

function noClaim(runId: unknown): Statement {
  return sql`claim AS (SELECT ${runId}::uuid AS "id")`;
}

/**
 * Removes the task writes of a run on top of the newest checkpoints, after the database could not store their step. Does nothing
 * if the claim is lost.
 */
export async function forgetStep(
  query: Query,
  threadId: string,
  { runId, claimToken }: NonNullable<Fence>,
): Promise<void> {
  await query(
    sql`WITH ${claimOf(runId, claimToken)}
    DELETE FROM "CheckpointWrite" w USING claim, "CheckpointHead" h
    WHERE h."threadId" = ${threadId} AND w."threadId" = h."threadId" AND w."namespace" = h."namespace"
      AND w."checkpointId" = h."checkpointId" AND w."runId" = claim."id" AND w."index" >= 0`,
  );
}

/** The known items of a thread with these hashes. */
function findItems(
  query: Query,
  threadId: string,
  hashes: readonly Buffer[],
): Promise<KnownItem[]> {
  return query<KnownItem>(
    sql`SELECT i."number", i."hash" FROM unnest(${hashes}::bytea[]) AS h("hash"), LATERAL (
      SELECT "number", "hash" FROM "ChannelItem" WHERE "threadId" = ${threadId}::uuid AND "hash" = h."hash" ${BY_KEY}) i`,
    { ...planFor(hashes), onlyReads: true },
  );
}

/** With more new items, PostgreSQL plans the statement anew. */
const MANY_ITEMS = 10;

/**
 * PostgreSQL may have made the prepared plan when the table was nearly empty. Such a plan reads the whole table for each new
 * item. For a few items this costs less than a new plan.
 */
function planFor(items: readonly unknown[]): QueryOptions {
  return { planAnew: items.length > MANY_ITEMS };
}

/** Makes the statement for a part of the content. */
export type StatementOf = (
  content: Pick<StatementContent, 'items' | 'rows' | 'stored'>,
) => Statement;

interface Storing extends Pick<StoringBy, 'threadId' | 'items'> {
  /** Large content: separate statements store the items first. Default: one statement stores all. */
  goesAhead?: boolean;
}

/**
 * Attempts to number the items. The first attempt returns the thread's items, so the second succeeds unless new items arrive in
 * between.
 */
const ATTEMPTS = 3;

/** Stores with a statement made with `storeStatement`. Returns undefined, with nothing stored, if its fence does not hold. */
export async function storeBy<Result extends Stored>(
  query: Query,
  storing: Storing,
  { storable, statementOf }: { storable: Storable; statementOf: StatementOf },
): Promise<Result | undefined> {
  const { items } = storing;
  const rows = rowsOf(storable);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const { stored, batches } = await numberItems(query, storing, storable.records);
    const waiting = [...batches];
    while (waiting.length > 0) {
      const batch = waiting.shift() ?? [];
      const isLast = waiting.length === 0;
      const statement = statementOf({ items: batch, rows: isLast ? rows : NO_ROWS, stored });
      const answer = await query<Result>(statement, planFor(batch)).catch((error: unknown) => {
        items.forget([batch, ...waiting].flat());
        throw error;
      });
      const [result] = answer;
      if (result?.stored && isLast) return result;
      if (result?.stored) continue;
      items.forget([batch, ...waiting].flat());
      if (!result?.claimed) return undefined;
      items.learn(
        answer.filter(({ number }) => number !== null),
        result,
      );
      break;
    }
  }
  throw new Error('Other writers changed the items of a thread at each attempt to store one.');
}

/** Numbers the items of records. Returns the new items in batches, each for one statement. */
async function numberItems(
  query: Query,
  { threadId, items, goesAhead = false }: Storing,
  records: Storable['records'],
): Promise<{ stored: ReadonlyMap<SerializedValue, StoredValue>; batches: Item[][] }> {
  const stored = storedValues(items, records);
  const fresh = items.takeNew();
  const batches = goesAhead ? cutItems(fresh) : [fresh];
  if (batches.length === 1) return { stored, batches };
  // An interrupted attempt may have stored some of the items.
  const hashes = fresh.map(({ hash }) => hash);
  const known = await findItems(query, threadId, hashes).finally(() => items.forget(fresh));
  items.learn(known);
  return { stored: storedValues(items, records), batches: cutItems(items.takeNew()) };
}
