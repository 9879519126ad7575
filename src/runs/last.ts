import { createBatched } from '../db/batch.ts';
import type { Operation } from '../db/operation.ts';
import type { Sql } from '../db/query.ts';
import { raw, sql } from '../db/sql.ts';
import type { Run } from '../generated/prisma/client.ts';
import { columnsFor } from './search.ts';

/** The run of a thread that was created last, without tombstones. A list of threads reads them with one statement. */
export const findLastRun = createBatched(
  async (app: { sql: Sql; operation?: Operation | undefined }, threadIds: readonly string[]) => {
    const rows = await app.sql.query<Run & { threadId: string }>(
      sql`SELECT r.* FROM unnest(${threadIds}::uuid[]) AS t("id"), LATERAL (
        SELECT ${raw(columnsFor(app))} FROM "Run" WHERE "threadId" = t."id" AND NOT "tombstone" ORDER BY "seq" DESC LIMIT 1) r`,
      { onlyReads: true },
    );
    const byThread = new Map(rows.map((run) => [run.threadId, run]));
    return threadIds.map((id) => byThread.get(id));
  },
);
