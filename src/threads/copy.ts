import type { App } from '../app.ts';
import { THREADS_CHANNEL } from '../channels.ts';
import { NotFoundError } from '../errors.ts';
import { forgetUnfinished, reopenAnswered } from '../checkpoints/interrupts.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { newId, parseUuid } from '../uuid.ts';

/** Some of what a thread's state is made of. */
interface Part {
  table: string;
  /** What is copied as it is. */
  columns: string[];
  /** What each row of the copy has of its own, as SQL. */
  own?: Record<string, string>;
  /** What `seq` keeps. */
  order: string;
}

const PARTS: Part[] = [
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
  {
    table: 'Interrupt',
    own: { id: 'gen_random_uuid()' },
    columns: [
      'checkpointId',
      'namespace',
      'taskId',
      'node',
      'langgraphId',
      'ordinal',
      'value',
      'responseSchema',
      'runId',
      'answeredById',
      'pending',
      'createdAt',
    ],
    order: 'seq',
  },
];

// One statement: a run that is under way goes on, and the copy is of one moment.
const COPY = `WITH copy AS (
  INSERT INTO "Thread" ("id", "status", "restStatus", "metadata", "graphId", "error")
  SELECT $1, t."restStatus", t."restStatus", t."metadata", t."graphId", t."error" FROM "Thread" t WHERE t."id" = $2 RETURNING *
)${PARTS.map(copyPart).join('')}
SELECT copy.*, ARRAY(
  SELECT "id" FROM "Run" WHERE "threadId" = $2 AND "status" IN ('PENDING', 'RUNNING')) AS "runIds" FROM copy`;

/** Where one thread had most of all rows, the planner would read them all, also those of its copies since. */
const BY_INDEX = 'SET LOCAL enable_seqscan = off';

function copyPart({ table, columns, own = {}, order }: Part): string {
  const values = {
    threadId: '$1::uuid',
    ...own,
    ...Object.fromEntries(columns.map((column) => [column, `"${column}"`])),
  };
  const names = Object.keys(values).map((column) => `"${column}"`);
  return `, "${table}s" AS (
  INSERT INTO "${table}" (${names.join(', ')})
  SELECT ${Object.values(values).join(', ')} FROM "${table}" WHERE "threadId" = $2 ORDER BY "${order}"
)`;
}

/** A thread of its own with the state and history that the other one has now; no value passes through this process. */
export async function copyThread({ sql }: Pick<App, 'sql'>, sourceId: string): Promise<Thread> {
  const source = parseUuid('id', sourceId);
  const id = newId();
  const copy = await sql.transaction(async (query) => {
    await query(BY_INDEX);
    const [row] = await query<Thread & { runIds: string[] }>(COPY, [id, source]);
    if (!row) throw new NotFoundError('Thread', source);
    const { runIds, ...thread } = row;
    // Runs are not copied: what one that goes on, or waits, was to answer is open, unless a node has used the answer.
    for (const runId of runIds) {
      await forgetUnfinished(query, { threadId: id, runId });
      await reopenAnswered(query, { threadId: id, runId });
    }
    return thread;
  });
  sql.notify(THREADS_CHANNEL, id);
  return copy;
}
