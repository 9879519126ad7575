import pg from 'pg';

export const TENANTS = 1000;
/** Rows of each tenant. */
export const OF_TENANT = { Thread: 200, Run: 200, Interrupt: 20, Assistant: 20, ApiKey: 5 };

/** Row `i` of a table is row `n` of its tenant. The rows of all tenants alternate. */
const rowsOf = (table: keyof typeof OF_TENANT) =>
  `(SELECT i, i / ${TENANTS} AS n, 'tenant ' || i % ${TENANTS} AS tenant, 'user ' || i / ${TENANTS} % 10 AS "user"
    FROM generate_series(0, ${TENANTS * OF_TENANT[table] - 1}) i) numbers`;

const idOf = (kind: number, i: string) =>
  `('01900000-0000-7000-800${kind}-' || lpad(to_hex(${i}), 12, '0'))::uuid`;

/** The id of row `n` of a tenant. */
export function idOfRow(kind: 'thread' | 'run' | 'assistant', tenant: number, n: number): string {
  const digit = { thread: 1, run: 2, assistant: 4 }[kind];
  const number = (n * TENANTS + tenant).toString(16).padStart(12, '0');
  return `01900000-0000-7000-800${digit}-${number}`;
}

/** Every tenant has rows with each metadata, except `only`: tenant 7 has no row with it, and all others have only such rows. */
const METADATA = `jsonb_build_object('all', true, 'title', 'Conversation number' || n)
  || CASE WHEN n % 10 = 3 THEN '{"some": true, "mood": "cheerful"}' ELSE '{}' END::jsonb
  || CASE WHEN n = 5 THEN '{"one": true}' ELSE '{}' END::jsonb
  || CASE WHEN tenant <> 'tenant 7' THEN '{"only": true, "hidden": "elsewhere"}' ELSE '{}' END::jsonb`;

const GRAPH = `(ARRAY['echo', 'steps', 'fail'])[1 + n % 3]`;
const CREATED = `now() - interval '30 days' + i * interval '10 seconds'`;
const UPDATED = `now() - interval '20 days' + i * interval '8 seconds'`;

const THREAD_STATUS = `(CASE WHEN n % 10 = 3 THEN 'INTERRUPTED' WHEN n = 7 THEN 'ERROR' ELSE 'IDLE' END)::"ThreadStatus"`;
const RUN_STATUS = `(CASE WHEN n % 10 = 3 THEN 'INTERRUPTED' WHEN n = 7 THEN 'ERROR' ELSE 'SUCCESS' END)::"RunStatus"`;

/** The statements of one connection, in order. Different lists run in parallel. */
const ROWS = [
  [
    `INSERT INTO "Thread" ("id", "tenant", "owner", "status", "restStatus", "metadata", "graphId", "createdAt", "updatedAt", "stateUpdatedAt")
     SELECT ${idOf(1, 'i')}, tenant, "user", ${THREAD_STATUS}, ${THREAD_STATUS}, ${METADATA}, ${GRAPH}, ${CREATED}, ${UPDATED}, ${UPDATED}
     FROM ${rowsOf('Thread')}`,
  ],
  [
    `INSERT INTO "Run" ("id", "tenant", "owner", "requester", "status", "threadId", "assistantId", "graphId", "metadata", "createdAt", "startedAt", "finishedAt")
     SELECT ${idOf(2, 'i')}, tenant, "user", "user", ${RUN_STATUS}, ${idOf(1, 'i')}, ${idOf(4, `i % ${TENANTS * OF_TENANT.Assistant}`)},
       ${GRAPH}, ${METADATA}, ${CREATED}, ${CREATED}, ${CREATED} FROM ${rowsOf('Run')}`,
    `INSERT INTO "Interrupt" ("id", "tenant", "owner", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal", "runId")
     SELECT ${idOf(5, 'i')}, tenant, "user", ${idOf(1, 'i')}, ${idOf(3, 'i')}, '', 'task', 'ask', 'a', 0, ${idOf(2, 'i')}
     FROM ${rowsOf('Interrupt')}`,
    `INSERT INTO "Assistant" ("id", "tenant", "owner", "graphId", "name", "metadata", "createdAt", "updatedAt")
     SELECT ${idOf(4, 'i')}, tenant, "user", ${GRAPH}, 'Assistant number' || n, ${METADATA}, ${CREATED}, ${UPDATED}
     FROM ${rowsOf('Assistant')}`,
    `INSERT INTO "ApiKey" ("id", "tenant", "owner", "name", "hash", "last4", "roles", "createdAt")
     SELECT ${idOf(6, 'i')}, tenant, "user", 'key', sha256(i::text::bytea), '0000', '{member}', ${CREATED} FROM ${rowsOf('ApiKey')}`,
  ],
];

/** Fills a migrated database with 1,000 tenants. The indexes are made after the rows: row by row takes five times as long. */
export async function generateTenants(databaseUrl: string): Promise<void> {
  const tables = Object.keys(OF_TENANT);
  const indexes = await execute(databaseUrl, [
    `SELECT indexname AS name, indexdef AS definition FROM pg_indexes
     WHERE tablename IN (${tables.map((table) => `'${table}'`).join(', ')})
       AND indexname NOT IN (SELECT conname FROM pg_constraint)`,
  ]);
  await execute(databaseUrl, [
    `DROP INDEX ${indexes.map(({ name }) => `"${String(name)}"`).join(', ')}`,
  ]);
  await Promise.all(ROWS.map((statements) => execute(databaseUrl, statements)));
  const definitions = indexes.map(({ definition }) => String(definition));
  const ofThreads = definitions.filter((text) => text.includes('"Thread"'));
  const others = definitions.filter((text) => !ofThreads.includes(text));
  await Promise.all([ofThreads, others].map((statements) => execute(databaseUrl, statements)));
  await execute(databaseUrl, ['VACUUM ANALYZE']);
}

/** Executes the statements on one connection, and returns the rows of the last one. */
async function execute(
  databaseUrl: string,
  statements: readonly string[],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  let rows: Record<string, unknown>[] = [];
  try {
    // Foreign keys are not checked row by row.
    await client.query(`SET session_replication_role = replica; SET synchronous_commit = off;
      SET maintenance_work_mem = '256MB'`);
    for (const statement of statements) ({ rows } = await client.query(statement));
  } finally {
    await client.end();
  }
  return rows;
}
