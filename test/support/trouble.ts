import type { Sql } from '../../src/db/query.ts';

/** The words of the database's errors: no client may see them. */
export const WORDS = 'SELECT secret FROM vault';

const TABLES = ['Thread', 'Run', 'RunEvent', 'Checkpoint', 'CheckpointWrite', 'Interrupt'] as const;
export type Table = (typeof TABLES)[number];

// A sequence counts also what is undone.
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

/** Makes writing to a table fail, for as long as that is asked for. */
export interface Trouble {
  begin(table: Table, state: string): Promise<void>;
  end(): Promise<void>;
  /** How many statements have failed since it began. */
  count(): Promise<number>;
}

export async function prepareTrouble({ transaction, query }: Sql): Promise<Trouble> {
  await transaction(async (run) => {
    for (const statement of TRIGGERS.split(/;\n(?=CREATE)/)) await run(statement);
  });
  return {
    async begin(table, state) {
      await query(`SELECT setval('troubled', 1, false)`);
      await query(`INSERT INTO trouble VALUES ($1, $2)`, [table, state]);
    },
    async end() {
      await query(`DELETE FROM trouble`);
    },
    async count() {
      const [row] = await query<{ count: number }>(
        `SELECT CASE WHEN "is_called" THEN "last_value" ELSE 0 END AS "count" FROM troubled`,
      );
      return row?.count ?? 0;
    },
  };
}
