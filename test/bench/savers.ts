import { randomUUID } from 'node:crypto';
import * as messages from '@langchain/core/messages';
import * as langgraph from '@langchain/langgraph';
import pLimit from 'p-limit';
import { SYSTEM } from '../../src/auth/viewer.ts';
import { CheckpointReader } from '../../src/checkpoints/reader.ts';
import { readConfig } from '../../src/config.ts';
import { openDatabase } from '../../src/db/open.ts';
import type { Query } from '../../src/db/query.ts';
import { compile, raw, sql } from '../../src/db/sql.ts';
import { createLogger } from '../../src/log.ts';
import { STORES_AT_A_TIME } from '../../src/runs/run-attempt.ts';
import { copyThread } from '../../src/threads/copy.ts';
import { openJournal } from '../support/attempts.ts';
import { createTurns, kilobyte } from './graphs/turns.ts';
import type { Store } from './stores.ts';

export type Durability = 'sync' | 'async' | 'exit';

/** A store of checkpoints under the same graph. */
export interface Engine {
  name: string;
  /** Makes threads, and everything for the first checkpoint of their runs. */
  prepare(count: number): Promise<string[]>;
  /** Runs the graph once. The text of the messages depends on `turn`. */
  run(threadId: string, turn: number, durability: Durability): Promise<void>;
  /** Makes the thread ready for its next run. */
  next(threadId: string): Promise<void>;
  history(threadId: string, limit: number): Promise<number>;
  copy(threadId: string): Promise<void>;
  bytes(threadId: string): Promise<number>;
  /** The number of statements of the saver so far. */
  statements(): number;
  close(): Promise<void>;
}

export const POOL_SIZE = 10;

/** The copy of LangGraph of threadql or of the peer. */
interface Graph {
  invoke(input: object, config: object): Promise<unknown>;
  getStateHistory(config: object, options: { limit: number }): AsyncIterable<unknown>;
}

const inputOf = (turn: number) => ({
  messages: [{ type: 'human', id: `said ${turn}`, content: kilobyte(`said ${turn}`) }],
});

const configOf = (threadId: string, saver: object) => ({
  configurable: { thread_id: threadId, __pregel_checkpointer: saver },
});

async function countHistory(graph: Graph, config: object, limit: number): Promise<number> {
  let count = 0;
  for await (const _ of graph.getStateHistory(config, { limit })) count++;
  return count;
}

/** The saver of threadql, with a claimed run for each attempt, as in a worker. */
export async function openOurs({ databaseUrl }: Store): Promise<Engine> {
  const config = { ...readConfig({}), databaseUrl, poolSize: POOL_SIZE };
  const { sql: database, close } = await openDatabase(config, createLogger('silent'));
  const graph: Graph = createTurns(langgraph, messages);
  const claims = new Map<string, { runId: string; claimToken: string; isFresh: boolean }>();
  const inTurn = pLimit(STORES_AT_A_TIME);
  let statements = 0;
  const counted: Query = (...asked) => {
    statements++;
    return database.query(...asked);
  };

  /** Like a claim, this says whether the thread is known to have no checkpoint. */
  async function claim(threadId: string, isFresh: boolean): Promise<void> {
    const [runId, claimToken] = [randomUUID(), randomUUID()];
    await database.query(
      sql`INSERT INTO "Run" ("id", "threadId", "assistantId", "graphId", "status", "claimToken")
       VALUES (${runId}, ${threadId}, ${runId}, 'turns', 'RUNNING', ${claimToken})`,
    );
    claims.set(threadId, { runId, claimToken, isFresh });
  }

  return {
    name: 'threadql',
    async prepare(count) {
      const ids = Array.from({ length: count }, () => randomUUID());
      for (const id of ids) {
        await database.query(sql`INSERT INTO "Thread" ("id") VALUES (${id})`);
        await claim(id, true);
      }
      return ids;
    },
    async run(threadId, turn, durability) {
      const fence = claims.get(threadId);
      if (!fence) throw new Error(`Thread ${threadId} has no run.`);
      const failing = new AbortController();
      const onFailure = (error: unknown) => failing.abort(error);
      const { journal, saver } = openJournal(counted, {
        writer: { ...fence, threadId },
        onFailure,
        ...(fence.isFresh && { freshThreadId: threadId }),
        ...(durability === 'async' && { inTurn }),
      });
      await graph.invoke(inputOf(turn), { ...configOf(threadId, saver), durability });
      await journal.flush();
      failing.signal.throwIfAborted();
    },
    async next(threadId) {
      const { runId } = claims.get(threadId) ?? {};
      await database.query(
        sql`UPDATE "Run" SET "status" = 'SUCCESS', "claimToken" = NULL WHERE "id" = ${runId}`,
      );
      await claim(threadId, false);
    },
    history: (threadId, limit) =>
      countHistory(graph, configOf(threadId, new CheckpointReader(counted)), limit),
    async copy(threadId) {
      await copyThread({ config: readConfig({}), sql: database }, SYSTEM, threadId);
    },
    bytes: (threadId) =>
      sumOfColumns(database.query, { threadId, column: 'threadId', except: ['Run', 'RunEvent'] }),
    statements: () => statements,
    close,
  };
}

/** The stock PostgreSQL saver and MemorySaver, with the peer's copy of LangGraph. */
export async function openStock(store: Store): Promise<Engine> {
  const { graph, openStockSaver } = await importPeer();
  const { saver, statements } = await openStockSaver(store.databaseUrl, POOL_SIZE);
  const query: Query = async (statement) => {
    const { text, values } = compile(statement);
    return (await saver.pool.query(text, values)).rows;
  };
  return {
    ...withSaver('stock saver', graph, saver),
    bytes: (threadId) => sumOfColumns(query, { threadId, column: 'thread_id', except: [] }),
    statements,
    close: () => saver.end(),
  };
}

export async function openMemory(): Promise<Engine> {
  const { graph, MemorySaver } = await importPeer();
  const saver = new MemorySaver();
  return {
    ...withSaver('MemorySaver', graph, saver),
    bytes: async (threadId) =>
      bytesIn(saver.storage[threadId]) +
      Object.entries(saver.writes)
        .filter(([key]) => key.includes(threadId))
        .reduce((sum, [, writes]) => sum + bytesIn(writes), 0),
    statements: () => NaN,
    async close() {},
  };
}

// The saver has its own dependencies. Their types are unknown here.
async function importPeer(): Promise<any> {
  const file = './peer/saver.mjs';
  return import(file);
}

function withSaver(name: string, graph: Graph, saver: any) {
  return {
    name,
    async prepare(count: number) {
      return Array.from({ length: count }, () => randomUUID());
    },
    async run(threadId: string, turn: number, durability: Durability) {
      await graph.invoke(inputOf(turn), { ...configOf(threadId, saver), durability });
    },
    async next() {},
    history: (threadId: string, limit: number) =>
      countHistory(graph, configOf(threadId, saver), limit),
    /** The saver has no copy function: this reads and puts every checkpoint. */
    async copy(threadId: string) {
      const copyId = randomUUID();
      for await (const { config, parentConfig, checkpoint, metadata, pendingWrites } of saver.list({
        configurable: { thread_id: threadId },
      })) {
        const place = { ...config.configurable, thread_id: copyId };
        const parent = { ...place, checkpoint_id: parentConfig?.configurable?.checkpoint_id };
        const { channel_versions: versions } = checkpoint;
        await saver.put({ configurable: parent }, checkpoint, metadata, versions);
        for (const [task, ...write] of pendingWrites ?? []) {
          await saver.putWrites({ configurable: place }, [write], task);
        }
      }
    },
  };
}

/** The stored size of the thread's rows in PostgreSQL, without indexes and row headers. */
async function sumOfColumns(
  query: Query,
  { threadId, column, except }: { threadId: string; column: string; except: readonly string[] },
): Promise<number> {
  const columns = await query<{ table: string; sum: string }>(
    sql`SELECT c.table_name AS "table", string_agg(format('coalesce(pg_column_size(%I), 0)', c.column_name), ' + ') AS "sum"
     FROM information_schema.columns c WHERE c.table_schema = current_schema()
       AND c.table_name IN (SELECT k.table_name FROM information_schema.columns k
         WHERE k.column_name = ${column} AND k.table_schema = current_schema())
     GROUP BY c.table_name`,
  );
  let bytes = 0;
  for (const { table, sum } of columns.filter((each) => !except.includes(each.table))) {
    const [row] = await query<{ bytes: string | null }>(
      sql`SELECT sum(${raw(sum)})::text AS "bytes" FROM ${raw(`"${table}"`)} WHERE ${raw(`"${column}"`)} = ${threadId}`,
    );
    bytes += Number(row?.bytes ?? 0);
  }
  return bytes;
}

/** Searches serialized values at any depth. */
function bytesIn(value: unknown): number {
  if (value instanceof Uint8Array) return value.byteLength;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, inner) => sum + bytesIn(inner), 0);
}
