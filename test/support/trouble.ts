import type { Sql } from '../../src/db/query.ts';
import { raw, sql } from '../../src/db/sql.ts';

/** The text of the database's errors. Clients must not see it. */
export const WORDS = 'SELECT secret FROM vault';

const TABLES = ['Thread', 'Run', 'RunEvent', 'Checkpoint', 'CheckpointWrite', 'Interrupt'] as const;
export type Table = (typeof TABLES)[number];

// A rollback does not reset a sequence.
const TRIGGERS = `
CREATE TABLE trouble ("table" text, "state" text);
CREATE SEQUENCE troubled;
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE failure text; BEGIN
  SELECT "state" INTO failure FROM trouble WHERE "table" = TG_TABLE_NAME;
  IF failure IS NOT NULL THEN
    PERFORM nextval('troubled');
    RAISE EXCEPTION '${WORDS}' USING ERRCODE = failure;
  END IF;
  RETURN NEW;
END $$;
${TABLES.map(
  (table) => `CREATE TRIGGER trouble BEFORE INSERT OR UPDATE ON "${table}" FOR EACH ROW
  EXECUTE FUNCTION trouble();`,
).join('\n')}`;

/** Makes writes to a table fail until `end`. */
export interface Trouble {
  begin(table: Table, state: string): Promise<void>;
  end(): Promise<void>;
  /** Returns the number of failed statements since `begin`. */
  count(): Promise<number>;
}

export async function prepareTrouble({ transaction, query }: Sql): Promise<Trouble> {
  await transaction(async (run) => {
    for (const statement of TRIGGERS.split(/;\n(?=CREATE)/)) await run(raw(statement));
  });
  return {
    async begin(table, state) {
      await query(sql`SELECT setval('troubled', 1, false)`);
      await query(sql`INSERT INTO trouble VALUES (${table}, ${state})`);
    },
    async end() {
      await query(sql`DELETE FROM trouble`);
    },
    async count() {
      const [row] = await query<{ count: number }>(
        sql`SELECT CASE WHEN "is_called" THEN "last_value" ELSE 0 END AS "count" FROM troubled`,
      );
      return row?.count ?? 0;
    },
  };
}
