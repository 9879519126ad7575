import type { Query } from './query.ts';
import { raw, sql } from './sql.ts';

/** Writes the counts of this session to the statistics views. Otherwise PostgreSQL does so when the session is idle. */
const FLUSH = sql`SELECT pg_stat_force_next_flush()`;

/** With PostgreSQL's own thresholds: https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM */
const DUE = sql`SELECT format('%s %I', CASE WHEN "vacuum" THEN 'VACUUM (ANALYZE)' ELSE 'ANALYZE' END, "relname") AS "statement"
FROM (
  SELECT "relname", "n_dead_tup" > 50 + 0.2 * "rows" OR "n_ins_since_vacuum" > 1000 + 0.2 * "rows" AS "vacuum",
    "n_mod_since_analyze" > 50 + 0.1 * "rows" AS "analyze"
  FROM "pg_stat_user_tables", LATERAL (SELECT greatest("reltuples", 0) AS "rows" FROM "pg_class" WHERE "oid" = "relid") c
  WHERE "schemaname" = current_schema()
) t WHERE "vacuum" OR "analyze"`;

/**
 * Replaces autovacuum in the embedded database: frees the space of dead rows and collects the statistics
 * for the planner, in each table with enough changes.
 */
export async function vacuum(query: Query): Promise<void> {
  await query(FLUSH);
  for (const { statement } of await query<{ statement: string }>(DUE)) {
    await query(raw(statement), { takesLong: true });
  }
}
