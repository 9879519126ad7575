import type { App } from '../app.ts';
import { THREADS_CHANNEL } from '../channels.ts';
import type { Query } from '../db/open.ts';
import { NotFoundError } from '../errors.ts';
import { forgetUnfinished, reopenAnswered } from '../checkpoints/interrupts.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { newId, parseUuid } from '../uuid.ts';

/** Everything a thread's state is made of, with the columns that are copied as they are, and the order that `seq` keeps. */
const COPIED = [
  { table: 'ChannelItem', columns: ['number', 'hash', 'type', 'value'], order: 'number' },
  {
    table: 'ChannelValue',
    columns: ['namespace', 'channel', 'version', 'type', 'value', 'ranges'],
    order: 'version',
  },
  {
    table: 'Checkpoint',
    columns: [
      'namespace',
      'checkpointId',
      'parentId',
      'runId',
      'source',
      'step',
      'metadata',
      'format',
      'versions',
      'versionsSeen',
      'createdAt',
    ],
    order: 'seq',
  },
  { table: 'CheckpointHead', columns: ['namespace', 'checkpointId'], order: 'namespace' },
  {
    table: 'CheckpointWrite',
    columns: [
      'namespace',
      'checkpointId',
      'taskId',
      'index',
      'runId',
      'channel',
      'type',
      'value',
      'ranges',
    ],
    order: 'seq',
  },
] as const;

/** A thread of its own with the state and history that the other one has now; no value passes through this process. */
export async function copyThread({ sql }: Pick<App, 'sql'>, sourceId: string): Promise<Thread> {
  const source = parseUuid('id', sourceId);
  const id = newId();
  const copy = await sql.transaction(async (query) => {
    // One snapshot for all statements: a run that is under way goes on, and the copy is of one moment.
    await query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    const [thread] = await query<Thread>(
      `INSERT INTO "Thread" ("id", "status", "restStatus", "metadata", "graphId", "error")
       SELECT $1, t."restStatus", t."restStatus", t."metadata", t."graphId", t."error"
       FROM "Thread" t WHERE t."id" = $2 RETURNING *`,
      [id, source],
    );
    if (!thread) throw new NotFoundError('Thread', source);
    for (const { table, columns, order } of COPIED) {
      const list = columns.map((column) => `"${column}"`).join(', ');
      await query(
        `INSERT INTO "${table}" ("threadId", ${list})
         SELECT $1, ${list} FROM "${table}" WHERE "threadId" = $2 ORDER BY "${order}"`,
        [id, source],
      );
    }
    await query(
      `INSERT INTO "Interrupt" ("id", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal",
         "value", "responseSchema", "runId", "answeredById", "pending", "createdAt")
       SELECT gen_random_uuid(), $1, "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal",
         "value", "responseSchema", "runId", "answeredById", "pending", "createdAt"
       FROM "Interrupt" WHERE "threadId" = $2 ORDER BY "seq"`,
      [id, source],
    );
    await openUnused(query, { source, copy: id });
    return thread;
  });
  sql.notify(THREADS_CHANNEL, id);
  return copy;
}

/** Runs are not copied: what one that goes on, or waits, was to answer is open in the copy, unless a node has used the answer. */
async function openUnused(
  query: Query,
  { source, copy }: { source: string; copy: string },
): Promise<void> {
  const runs = await query<{ id: string }>(
    `SELECT "id" FROM "Run" WHERE "threadId" = $1 AND "status" IN ('PENDING', 'RUNNING')`,
    [source],
  );
  for (const { id: runId } of runs) {
    await forgetUnfinished(query, { threadId: copy, runId });
    await reopenAnswered(query, { threadId: copy, runId });
  }
}
