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
import { createItemsOf, type ItemsOf } from './items.ts';
import { createVersion, countOf } from './versions.ts';

export type DeltaOptions = Parameters<BaseCheckpointSaver['getDeltaChannelHistory']>[0];

/** Reads the checkpoints of threads. Subclasses also write. */
export class CheckpointReader extends BaseCheckpointSaver {
  protected readonly query: Query;
  /** Only in subclasses that write. */
  protected readonly limit: StateLimit | undefined;
  /** The known item numbers of each thread. */
  protected readonly itemsOf: ItemsOf;
  /** The version before the current step, and the version of its writes. */
  #step: { current: number | undefined; next: number } | undefined;

  /** `by` decodes stored values. `limit` learns the sizes of the loaded states, `itemsOf` the numbers of their items. */
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
   * A version is a counter in the high bits and a random number in the low bits. So versions are ordered, and two branches never
   * share a version. LangGraph's own versions are 1, 2, 3 on every branch: it would then read the values of another branch.
   *
   * LangGraph calls this method for each channel. All channels of a step get the same version: LangGraph infers from it a common
   * step of parallel nodes.
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

  /** The history of delta channels, read with `getTuple`. */
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
 * Reads checkpoints for LangGraph's getState. LangGraph, up to 1.7.3 at least, takes an answer for the result of its task. A task
 * that asks again would then be missing in `next`. LangGraph also lists the questions of ended tasks.
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

/** The rows in their order, in pages of one namespace. One statement loads a page. */
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
