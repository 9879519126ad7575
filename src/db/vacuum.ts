import type { Query } from './open.ts';

// What has changed reaches the tables of statistics when a session is idle, or asks for it.
const FLUSH = `SELECT pg_stat_force_next_flush()`;

// PostgreSQL's own thresholds: https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
const DUE = `SELECT format('%s %I', CASE WHEN "vacuum" THEN 'VACUUM (ANALYZE)' ELSE 'ANALYZE' END, "relname") AS "statement"
FROM (
  SELECT s."relname", greatest(c."reltuples", 0) AS "rows", s."n_mod_since_analyze" AS "changed",
    s."n_dead_tup" > 50 + 0.2 * greatest(c."reltuples", 0)
      OR s."n_ins_since_vacuum" > 1000 + 0.2 * greatest(c."reltuples", 0) AS "vacuum"
  FROM "pg_stat_user_tables" s JOIN "pg_class" c ON c."oid" = s."relid" WHERE s."schemaname" = current_schema()
) t WHERE "vacuum" OR "changed" > 50 + 0.1 * "rows"`;

/**
 * What autovacuum does, for an engine without processes of its own: of the tables that have changed enough, it frees the
 * space of rows that are gone, and counts what there is, by which statements are planned.
 */
export async function vacuum(query: Query): Promise<void> {
  await query(FLUSH);
  for (const { statement } of await query<{ statement: string }>(DUE)) await query(statement);
}
