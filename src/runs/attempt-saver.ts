import type { RunnableConfig } from '@langchain/core/runnables';
import type {
  ChannelVersions,
  Checkpoint,
  CheckpointListOptions,
  CheckpointMetadata,
  CheckpointTuple,
  PendingWrite,
} from '@langchain/langgraph-checkpoint';
import { WRITES_IDX_MAP, getCheckpointId, uuid5 } from '@langchain/langgraph-checkpoint';
import { checkpointKey, configAfter, placeOf } from '../checkpoints/address.ts';
import {
  areUnchanged,
  holdChannels,
  readChannels,
  type FinalCheckpoint,
  type HeldChannels,
} from '../checkpoints/in-place.ts';
import { newCheckpoint, newWrites, NULL_TASK_ID } from '../checkpoints/new-records.ts';
import { placeAsAsked, placeOnThread } from '../checkpoints/other-threads.ts';
import { CheckpointReader, type DeltaOptions } from '../checkpoints/reader.ts';
import { serde } from '../checkpoints/serde.ts';
import type { StateLimit } from '../checkpoints/sizes.ts';
import type { ItemsOf } from '../checkpoints/items.ts';
import { renewVersion } from '../checkpoints/versions.ts';
import type { Query } from '../db/query.ts';
import { remember } from '../remember.ts';
import type { Journal } from './journal.ts';

export interface AttemptSaverOptions {
  journal: Journal;
  /** Shared with the journal. */
  limit: StateLimit;
  itemsOf: ItemsOf;
  /** The run's thread. It also stores the checkpoints of a graph with a different `thread_id`. Default: each thread stores its own. */
  threadId?: string;
  /** Added to the metadata of every checkpoint. */
  metadata: Record<string, unknown>;
  /** The thread has no checkpoint yet: before the first put, the saver does not read from the database. */
  freshThreadId?: string;
}

/** The saver finds changes in place only for the newest checkpoints, up to this number. */
const MOST_HELD = 1000;

/** The checkpoint saver of an attempt. Its journal stores each put; a read waits until all earlier puts are stored. */
export class AttemptSaver extends CheckpointReader {
  declare protected readonly limit: StateLimit;
  readonly #options: AttemptSaverOptions;
  readonly #journal: Journal;
  /** By namespace: the number of tasks with a result on the first checkpoint read by the graph. */
  readonly #ended = new Map<string, number>();
  /** By checkpoint: its channels, held in memory by the graph and its subgraphs. */
  readonly #held = new Map<string, HeldChannels>();
  #freshThreadId: string | undefined;
  #newest: FinalCheckpoint | undefined;

  constructor(query: Query, options: AttemptSaverOptions) {
    super(query, serde, options);
    this.#options = options;
    this.#journal = options.journal;
    this.#freshThreadId = options.freshThreadId;
  }

  override async put(
    asked: RunnableConfig,
    live: Checkpoint,
    metadata: CheckpointMetadata,
    writtenVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const config = this.#placed(asked);
    const { namespace } = placeOf(config);
    const { checkpoint, newVersions, held } = this.#readChannels(config, live, writtenVersions);
    const added = { ...this.#options.metadata, ...metadata };
    const content = { checkpoint, metadata: added, newVersions };
    const record = newCheckpoint(config, content, { mostBytes: this.limit.mostBytes });
    if (namespace === '') {
      const parent = getCheckpointId(config) ? { parentConfig: config } : {};
      const isUnchanged = () => areUnchanged(checkpoint, held);
      const own = configAfter(config, checkpoint.id);
      this.#newest = { config: own, checkpoint, metadata: added, ...parent, isUnchanged };
    }
    this.#freshThreadId = undefined;
    const mayContinue = this.#journal.put(checkpoint.id, record);
    // Before its first step, the graph does not wait: running nodes could change values of the next put.
    if (metadata.source === 'loop') await mayContinue;
    const { thread_id, checkpoint_ns = '' } = asked.configurable ?? {};
    return { configurable: { thread_id, checkpoint_ns, checkpoint_id: checkpoint.id } };
  }

  /** Gives a new version to each channel with a value changed in place, and holds the channels for the next put. */
  #readChannels(config: RunnableConfig, checkpoint: Checkpoint, newVersions: ChannelVersions) {
    const { namespace } = placeOf(config);
    const before = checkpointKey({ namespace, checkpointId: getCheckpointId(config) });
    const read = readChannels({ checkpoint, newVersions }, this.#held.get(before), renewVersion);
    this.#held.delete(before);
    this.#hold(namespace, checkpoint.id, read.held);
    return read;
  }

  #hold(namespace: string, checkpointId: string, channels: HeldChannels): void {
    remember(this.#held, checkpointKey({ namespace, checkpointId }), channels, MOST_HELD);
  }

  #placed(config: RunnableConfig): RunnableConfig {
    const { threadId } = this.#options;
    return threadId === undefined ? config : placeOnThread(config, threadId);
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath = '',
  ): Promise<void> {
    const task = { taskId, taskPath, writes };
    const { mostBytes } = this.limit;
    this.#freshThreadId = undefined;
    const mayContinue = this.#journal.putWrites(
      newWrites(this.#placed(config), task, { mostBytes }),
    );
    // The writes of a command come before the first step, too.
    if (taskId !== NULL_TASK_ID) await mayContinue;
  }

  /** The newest checkpoint put by the graph in the root namespace of the thread. Undefined if there is none. */
  newestOf(threadId: string): FinalCheckpoint | undefined {
    const { config } = this.#newest ?? {};
    return config?.configurable?.['thread_id'] === threadId ? this.#newest : undefined;
  }

  /** Waits until the puts of the graph are stored, so the result includes them. */
  override async getTuple(asked: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const config = this.#placed(asked);
    const { thread_id: threadId } = config.configurable ?? {};
    if (threadId !== undefined && threadId === this.#freshThreadId) return undefined;
    await this.#journal.flushRecords();
    const tuple = await super.getTuple(config);
    const namespace = String(asked.configurable?.['checkpoint_ns'] ?? '');
    if (!this.#ended.has(namespace)) this.#ended.set(namespace, endedTasks(tuple).size);
    if (!tuple) return undefined;
    this.#journal.noteStored(tuple.checkpoint.id);
    this.#hold(placeOf(config).namespace, tuple.checkpoint.id, holdChannels(tuple.checkpoint));
    return config === asked ? tuple : placeAsAsked(tuple, asked);
  }

  /**
   * LangGraph marks two kinds of updates as cached: updates of tasks that ended before the run resumed, and results from the
   * cache of a node. In each namespace, the former come first. True for the former: once
   * for each task that had ended.
   */
  takeEnded(namespace: string): boolean {
    const count = this.#ended.get(namespace) ?? 0;
    this.#ended.set(namespace, Math.max(count - 1, 0));
    return count > 0;
  }

  override async *list(
    asked: RunnableConfig,
    options?: CheckpointListOptions,
  ): AsyncGenerator<CheckpointTuple> {
    const config = this.#placed(asked);
    await this.#journal.flushRecords();
    for await (const tuple of super.list(config, options)) {
      this.#journal.noteStored(tuple.checkpoint.id);
      yield config === asked ? tuple : placeAsAsked(tuple, asked);
    }
  }

  override async getDeltaChannelHistory({ config, channels }: DeltaOptions) {
    await this.#journal.flushRecords();
    return super.getDeltaChannelHistory({ config: this.#placed(config), channels });
  }
}

/** The tasks with a result on top of a checkpoint. Writes of the input belong to no task. */
function endedTasks(tuple: CheckpointTuple | undefined): Set<string> {
  if (!tuple) return new Set();
  const input = [NULL_TASK_ID, uuid5('__input__', tuple.checkpoint.id)];
  const results = (tuple.pendingWrites ?? []).filter(([, channel]) => !(channel in WRITES_IDX_MAP));
  return new Set(results.map(([task]) => task).filter((task) => !input.includes(task)));
}
