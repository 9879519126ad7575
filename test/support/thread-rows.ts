import type { Query } from '../../src/db/query.ts';
import { raw, sql } from '../../src/db/sql.ts';

/** Returns every table with a column for the thread, also tables of later schemas. */
export async function threadTables(query: Query): Promise<string[]> {
  const rows = await query<{ table: string }>(
    sql`SELECT c.table_name AS "table" FROM information_schema.columns c
     JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE t.table_type = 'BASE TABLE' AND c.table_schema = current_schema() AND c.column_name = 'threadId'
     ORDER BY c.table_name`,
  );
  return rows.map(({ table }) => table);
}

/** Returns the rows of a thread by table, without the columns for the identity of rows and thread. */
export async function threadRows(
  query: Query,
  threadId: string,
): Promise<{ table: string; rows: unknown[] }[]> {
  const found: { table: string; rows: unknown[] }[] = [];
  for (const table of await threadTables(query)) {
    const rows = await query<{ row: object; text: string }>(
      sql`SELECT row::text AS "text" FROM (
         SELECT to_jsonb(r) - 'threadId' - 'seq' - 'id' AS row FROM "${raw(table)}" r WHERE r."threadId" = ${threadId}
       ) rows ORDER BY 1`,
    );
    found.push({ table, rows: rows.map(({ text }) => text) });
  }
  return found;
}
