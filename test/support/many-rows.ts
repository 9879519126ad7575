import pg from 'pg';

export const THREADS = 200_000;
export const ASSISTANTS = 20_000;
/** Runs with a start tomorrow. */
export const DELAYED_RUNS = 1000;

/**
 * Metadata for row `i` of `of` rows. All rows have `all`; 1 %, five rows, and the oldest 1 % have the rest. No row has "none".
 */
const metadata = (of: number) => `jsonb_build_object(
    'all', true, 'owner', 'user ' || i % 1000, 'topic', 'topic ' || i % 7, 'title', 'Conversation ' || i)
  || CASE WHEN i % 100 = 50 THEN '{"percent": true}' ELSE '{}' END::jsonb
  || CASE WHEN i % ${of / 5} = 17 THEN '{"five": true}' ELSE '{}' END::jsonb
  || CASE WHEN i <= ${of / 100} THEN '{"oldest": true}' ELSE '{}' END::jsonb`;

/** Makes the id of the i-th row of a kind. Ids grow with `i`, like the ids of the server. */
const idOf = (kind: number, i: string) =>
  `('01900000-0000-7000-800${kind}-' || lpad(to_hex(${i}), 12, '0'))::uuid`;

const thread = (i: string) => idOf(1, i);
const run = (i: string) => idOf(2, i);
const checkpoint = (i: string) => idOf(3, i);
const assistant = (i: string) => idOf(4, i);

export const generatedId = {
  thread: (i: number) => format(1, i),
  run: (i: number) => format(2, i),
  assistant: (i: number) => format(4, i),
};

function format(kind: number, i: number): string {
  return `01900000-0000-7000-800${kind}-${i.toString(16).padStart(12, '0')}`;
}

const GRAPH = `(ARRAY['echo', 'steps', 'fail'])[1 + i % 3]`;
/** DELAYED_RUNS are due tomorrow, a worker of another server holds 40, and the rest ended 20 hours ago. The first 200 ended 40 hours ago. */
const RUN_STATUS = `(CASE WHEN i % ${THREADS / DELAYED_RUNS} = 199 THEN 'PENDING' WHEN i % 5000 = 1 THEN 'RUNNING' WHEN i % 10 = 3 THEN 'INTERRUPTED'
    WHEN i % 100 = 7 THEN 'ERROR' ELSE 'SUCCESS' END)::"RunStatus"`;

/** The statements of one connection, in order. Different lists run in parallel. */
const ROWS = [
  [
    `INSERT INTO "Thread" ("id", "status", "restStatus", "metadata", "graphId", "lastEvent", "createdAt", "updatedAt", "stateUpdatedAt")
     SELECT ${thread('i')}, status, status, ${metadata(THREADS)}, ${GRAPH}, 3,
       now() - interval '30 days' + i * interval '10 seconds', now() - interval '20 days' + i * interval '8 seconds',
       now() - interval '20 days' + i * interval '8 seconds'
     FROM (SELECT i, (CASE WHEN i % 10 = 3 THEN 'INTERRUPTED' WHEN i % 100 = 7 THEN 'ERROR' ELSE 'IDLE' END)::"ThreadStatus" AS status
       FROM generate_series(1, ${THREADS}) i) numbers`,
    `INSERT INTO "Checkpoint" ("threadId", "namespace", "checkpointId", "runId", "source", "step", "metadata", "format", "versions", "versionsSeen", "createdAt")
     SELECT ${thread('i')}, '', ${checkpoint('i')}, ${run('i')}, 'LOOP', 0, '{"step": 0}', 1, '{}', '{}', now()
     FROM generate_series(1, ${THREADS}) i`,
    `INSERT INTO "CheckpointHead" SELECT ${thread('i')}, '', ${checkpoint('i')} FROM generate_series(1, ${THREADS}) i`,
    `INSERT INTO "CheckpointWrite" ("threadId", "namespace", "checkpointId", "taskId", "index", "runId", "channel", "type")
     SELECT ${thread('i')}, '', ${checkpoint('i')}, 'task', 0, ${run('i')}, 'messages', 'json' FROM generate_series(1, ${THREADS}) i`,
    `INSERT INTO "ChannelValue" ("threadId", "namespace", "channel", "version", "type", "ranges")
     SELECT ${thread('i')}, '', 'messages', 1, 'list', '{1,1}' FROM generate_series(1, ${THREADS}) i`,
    `INSERT INTO "ChannelItem" ("threadId", "number", "hash", "type", "value")
     SELECT ${thread('i')}, 1, '\\x00', 'json', '{}' FROM generate_series(1, ${THREADS}) i`,
    // Every second interrupt is answered.
    `INSERT INTO "Interrupt" ("id", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal", "runId", "pending")
     SELECT gen_random_uuid(), ${thread('i')}, ${checkpoint('i')}, '', 'task', 'ask', 'a', n, ${run('i')}, n = 1
     FROM generate_series(3, ${THREADS}, 10) i, generate_series(0, 1) n`,
  ],
  [
    `INSERT INTO "Assistant" ("id", "graphId", "name", "metadata", "createdAt", "updatedAt")
     SELECT ${assistant('i')}, ${GRAPH}, 'Assistant ' || i, ${metadata(ASSISTANTS)},
       now() - interval '30 days' + i * interval '10 seconds', now() - interval '20 days' + i * interval '8 seconds'
     FROM generate_series(1, ${ASSISTANTS}) i`,
    `INSERT INTO "AssistantVersion" ("assistantId", "version", "graphId", "name")
     SELECT ${assistant('i')}, 1, ${GRAPH}, 'Assistant ' || i FROM generate_series(1, ${ASSISTANTS}) i`,
    `INSERT INTO "Run" ("id", "status", "threadId", "assistantId", "graphId", "metadata", "createdAt", "dueAt", "leaseExpiresAt", "claimToken", "startedAt", "finishedAt", "idempotencyKey")
     SELECT ${run('i')}, status, ${thread('i')}, ${assistant('CASE WHEN i % 2 = 0 THEN 1 ELSE i % 1000 END')}, ${GRAPH}, ${metadata(THREADS)},
       now() - interval '3 days' + i * interval '0.9 seconds',
       CASE WHEN status = 'PENDING' THEN now() + interval '1 day' ELSE now() END,
       CASE WHEN status = 'RUNNING' THEN now() + interval '1 day' END,
       CASE WHEN status = 'RUNNING' THEN gen_random_uuid() END,
       CASE WHEN status <> 'PENDING' THEN now() - interval '2 days' END,
       CASE WHEN status NOT IN ('PENDING', 'RUNNING') THEN now() - CASE WHEN i <= 200 THEN interval '40 hours' ELSE interval '20 hours' END END,
       CASE WHEN i % 10 = 0 THEN 'key ' || i END
     FROM (SELECT i, ${RUN_STATUS} AS status FROM generate_series(1, ${THREADS}) i) numbers`,
    `INSERT INTO "RunEvent" ("threadId", "number", "runId", "type", "namespace", "data")
     SELECT ${thread('i')}, n, ${run('i')}, (ARRAY['STARTED', 'UPDATES', 'FINISHED'])[n]::"RunEventType", '{}',
       (CASE n WHEN 3 THEN '{"status": "SUCCESS", "error": null}' ELSE '{"attempt": 1}' END)::json
     FROM generate_series(1, ${THREADS}) i, generate_series(1, 3) n`,
  ],
];

/** Fills a migrated database with 200,000 threads, a run with three events on each, and their other rows. */
export async function generateRows(databaseUrl: string): Promise<void> {
  await Promise.all(ROWS.map((statements) => execute(databaseUrl, statements)));
  await execute(databaseUrl, ['VACUUM ANALYZE']);
}

async function execute(databaseUrl: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  try {
    // Foreign keys are not checked row by row.
    await client.query(`SET session_replication_role = replica; SET synchronous_commit = off`);
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
