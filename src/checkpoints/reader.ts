import type { RunnableConfig } from '@langchain/core/runnables';
import type {
  CheckpointListOptions,
  CheckpointPendingWrite,
  CheckpointTuple,
  DeltaChannelHistory,
  SerializerProtocol,
} from '@langchain/langgraph-checkpoint';
import {
  BaseCheckpointSaver,
  WRITES_IDX_MAP,
  getCheckpointId,
} from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { placeOf } from './address.ts';
import { readDeltaHistory } from './delta-history.ts';
import { listCheckpoints, type CheckpointRow } from './find.ts';
import { serde } from './serde.ts';
import { type StateLimit } from './sizes.ts';
import { findTuple, loadTuples } from './tuples.ts';
import { createItemsOf, type ItemsOf } from './values.ts';
import { createVersion, countOf } from './versions.ts';

export type DeltaOptions = Parameters<BaseCheckpointSaver['getDeltaChannelHistory']>[0];

/** Reads a thread's checkpoints. Writing is for those that extend it. */
export class CheckpointReader extends BaseCheckpointSaver {
  protected readonly query: Query;
  /** Of a reader that writes. */
  protected readonly limit: StateLimit | undefined;
  /** The known item numbers of each thread. */
  protected readonly itemsOf: ItemsOf;
  /** The version that the step under way started from, and the one it writes. */
  #step: { current: number | undefined; next: number } | undefined;

  /** `by` decodes stored values. `limit` learns the sizes of the states that are read, `itemsOf` the numbers of their items. */
  constructor(
    query: Query,
    by: SerializerProtocol = serde,
    { limit, itemsOf = createItemsOf() }: { limit?: StateLimit; itemsOf?: ItemsOf } = {},
  ) {
    super(by);
    this.query = query;
    this.limit = limit;
    this.itemsOf = itemsOf;
  }

  /**
   * Ordered, and unique per step, so that two branches never share a version: a counter in the high bits, 32 random
   * ones in the low. LangGraph's own counts 1, 2, 3 on every branch and then reads one branch's values on another.
   * It asks once per channel: what one step writes has one version, by which it tells that nodes ran side by side.
   */
  override getNextVersion(current: number | undefined): number {
    if (!this.#step || this.#step.current !== current) {
      this.#step = { current, next: createVersion(countOf(current ?? 0) + 1) };
    }
    return this.#step.next;
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    if (config.configurable?.['thread_id'] === undefined) return undefined;
    const { threadId, namespace } = placeOf(config);
    const checkpointId = getCheckpointId(config) || undefined;
    const reading = {
      items: this.itemsOf(threadId),
      sizes: this.limit,
      serdeOf: () => this.serde,
    };
    return findTuple(this.query, threadId, { namespace, checkpointId }, reading);
  }

  override async getDeltaChannelHistory({
    config,
    channels,
  }: DeltaOptions): Promise<Record<string, DeltaChannelHistory>> {
    const checkpointId = getCheckpointId(config) || undefined;
    const of = { ...placeOf(config), checkpointId };
    return readDeltaHistory(this.query, of, { channels, by: this.serde });
  }

  /** The same, found by `getTuple`. */
  protected walkDeltaHistory(options: DeltaOptions): Promise<Record<string, DeltaChannelHistory>> {
    return super.getDeltaChannelHistory(options);
  }

  override async *list(
    config: RunnableConfig,
    { limit, before, filter }: CheckpointListOptions = {},
  ): AsyncGenerator<CheckpointTuple> {
    const rows = await listCheckpoints(this.query, {
      threadId: config.configurable?.['thread_id'] ?? undefined,
      namespace: config.configurable?.['checkpoint_ns'] ?? undefined,
      checkpointId: getCheckpointId(config) || undefined,
      before: before && (getCheckpointId(before) || undefined),
      metadata: filter,
      limit,
    });
    for (const page of pagesOf(rows)) yield* await loadTuples(this.query, page, this.serde);
  }

  override put(..._: Parameters<BaseCheckpointSaver['put']>): Promise<RunnableConfig> {
    return Promise.reject(new Error('This saver only reads.'));
  }

  override putWrites(..._: Parameters<BaseCheckpointSaver['putWrites']>): Promise<void> {
    return Promise.reject(new Error('This saver only reads.'));
  }

  override async deleteThread(threadId: string): Promise<void> {
    await this.query(sql`DELETE FROM "Thread" WHERE "id" = ${threadId}`);
  }
}

/**
 * Reads checkpoints as LangGraph's getState has to see them. LangGraph, up to 1.7.3 at least, takes an answer for a result, so a
 * task that asks again would not be next. It also lists the questions of a task that has ended.
 */
export class StateReader extends CheckpointReader {
  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const tuple = await this.readTuple(config);
    return tuple && { ...tuple, pendingWrites: openWrites(tuple.pendingWrites ?? []) };
  }

  protected readTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    return super.getTuple(config);
  }
}

function openWrites(writes: CheckpointPendingWrite[]): CheckpointPendingWrite[] {
  const ended = new Set<string>();
  for (const [task, channel] of writes) if (!(channel in WRITES_IDX_MAP)) ended.add(task);
  for (const [task, channel] of writes) if (channel === '__error__') ended.delete(task);
  return writes.filter(
    ([task, channel]) =>
      channel !== '__resume__' && !(channel === '__interrupt__' && ended.has(task)),
  );
}

const PAGE_SIZE = 20;

/** Rows in their order, at most a page of one namespace at a time: what is loaded in one statement. */
function* pagesOf(rows: readonly CheckpointRow[]): Generator<CheckpointRow[]> {
  let page: CheckpointRow[] = [];
  for (const row of rows) {
    const [first = row] = page;
    const isSamePlace = first.threadId === row.threadId && first.namespace === row.namespace;
    if (!isSamePlace || page.length === PAGE_SIZE) {
      yield page;
      page = [];
    }
    page.push(row);
  }
  if (page.length > 0) yield page;
}
