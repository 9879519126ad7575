import type { RunnableConfig } from '@langchain/core/runnables';
import type {
  Checkpoint,
  CheckpointListOptions,
  CheckpointMetadata,
  CheckpointTuple,
  ChannelVersions,
  PendingWrite,
} from '@langchain/langgraph-checkpoint';
import { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint';
import { deltaChannelHistoryTests, validate } from '@langchain/langgraph-checkpoint-validation';
import { v5 as uuidv5, validate as isUuid } from 'uuid';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../src/db/open.ts';
import { param, sql } from '../src/db/sql.ts';
import { startAttempt, type TestAttempt } from './support/attempts.ts';
import { createTestDatabase, openTestDatabase, type TestDatabase } from './support/databases.ts';

// LangGraph's suite reads them from the global scope.
Object.assign(globalThis, { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it });

/**
 * Adapters bridge two differences between the suite and this server:
 * - Threads have UUIDs and exist before their checkpoints. The suite names some "thread-1" and creates none.
 * - The saver of a run never rejects, because LangGraph then continues with the remaining nodes or ends the process. The
 *   adapter throws the error of `onFailure`.
 */
class ConformingSaver extends BaseCheckpointSaver {
  readonly #attempt: TestAttempt;
  readonly #database: Database;
  readonly #names = new Map<string, string>();

  constructor(database: Database, attempt: TestAttempt) {
    super(attempt.saver.serde);
    this.#database = database;
    this.#attempt = attempt;
  }

  async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const tuple = await this.#attempt.saver.getTuple(this.#toUuid(config));
    return tuple && this.#toNames(tuple);
  }

  async *list(
    config: RunnableConfig,
    { before, ...options }: CheckpointListOptions = {},
  ): AsyncGenerator<CheckpointTuple> {
    const tuples = this.#attempt.saver.list(this.#toUuid(config), {
      ...options,
      ...(before && { before: this.#toUuid(before) }),
    });
    for await (const tuple of tuples) yield this.#toNames(tuple);
  }

  async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const place = this.#toUuid(config);
    const threadId = param(place.configurable?.['thread_id'] ?? null);
    await this.#database.sql.query(
      sql`INSERT INTO "Thread" ("id") SELECT ${threadId}::uuid WHERE ${threadId} IS NOT NULL ON CONFLICT DO NOTHING`,
    );
    const after = await this.#attempt.saver.put(place, checkpoint, metadata, newVersions);
    this.#throwFailure();
    return this.#withName(after);
  }

  async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath?: string,
  ): Promise<void> {
    await this.#attempt.saver.putWrites(this.#toUuid(config), writes, taskId, taskPath);
    this.#throwFailure();
  }

  override async getDeltaChannelHistory({
    config,
    channels,
  }: Parameters<BaseCheckpointSaver['getDeltaChannelHistory']>[0]) {
    return this.#attempt.saver.getDeltaChannelHistory({ config: this.#toUuid(config), channels });
  }

  async deleteThread(threadId: string): Promise<void> {
    await this.#attempt.saver.deleteThread(this.#uuidOf(threadId));
  }

  #throwFailure(): void {
    if (this.#attempt.signal.aborted) throw this.#attempt.signal.reason;
  }

  #uuidOf(name: string): string {
    const id = isUuid(name) ? name : uuidv5(name, uuidv5.URL);
    this.#names.set(id, name);
    return id;
  }

  #toUuid(config: RunnableConfig): RunnableConfig {
    const name = config.configurable?.['thread_id'];
    if (name === undefined) return config;
    return { configurable: { ...config.configurable, thread_id: this.#uuidOf(name) } };
  }

  #withName({ configurable }: RunnableConfig): RunnableConfig {
    const id = configurable?.['thread_id'];
    return { configurable: { ...configurable, thread_id: this.#names.get(id) ?? id } };
  }

  #toNames({ config, parentConfig, ...tuple }: CheckpointTuple): CheckpointTuple {
    return {
      ...tuple,
      config: this.#withName(config),
      ...(parentConfig && { parentConfig: this.#withName(parentConfig) }),
    };
  }
}

let testDatabase: TestDatabase;
let database: Database;

const initializer = {
  checkpointerName: 'RunSaver',
  beforeAllTimeout: 60_000,
  async createCheckpointer() {
    return new ConformingSaver(database, await startAttempt(database.sql.query));
  },
  async destroyCheckpointer() {
    await database.sql.query(sql`DELETE FROM "Thread"`);
  },
};

describe("LangGraph's own suite for checkpointers", () => {
  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    database = await openTestDatabase(testDatabase);
  });

  afterAll(async () => {
    await database.close();
    await testDatabase.dispose();
  });

  validate(initializer);
  deltaChannelHistoryTests(initializer);
});
