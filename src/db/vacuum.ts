import type { Query } from './open.ts';

// What has changed reaches the tables of statistics when a session is idle, or asks for it.
const FLUSH = `SELECT pg_stat_force_next_flush()`;

// PostgreSQL's own thresholds: https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
const DUE = `SELECT format('%s %I', CASE WHEN "vacuum" THEN 'VACUUM (ANALYZE)' ELSE 'ANALYZE' END, "relname") AS "statement"
FROM (
  SELECT "relname", "n_dead_tup" > 50 + 0.2 * "rows" OR "n_ins_since_vacuum" > 1000 + 0.2 * "rows" AS "vacuum",
    "n_mod_since_analyze" > 50 + 0.1 * "rows" AS "analyze"
  FROM "pg_stat_user_tables", LATERAL (SELECT greatest("reltuples", 0) AS "rows" FROM "pg_class" WHERE "oid" = "relid") c
  WHERE "schemaname" = current_schema()
) t WHERE "vacuum" OR "analyze"`;

/**
 * What autovacuum does, for an engine without processes of its own: of the tables that have changed enough, it frees the
 * space of rows that are gone, and counts what there is, by which statements are planned.
 */
export async function vacuum(query: Query): Promise<void> {
  await query(FLUSH);
  for (const { statement } of await query<{ statement: string }>(DUE)) {
    await query(statement, [], { takesLong: true });
  }
}
