import type { RunnableConfig } from '@langchain/core/runnables';
import type {
  ChannelVersions,
  Checkpoint,
  CheckpointMetadata,
  CheckpointPendingWrite,
  CheckpointTuple,
  PendingWrite,
  SerializerProtocol,
} from '@langchain/langgraph-checkpoint';
import { getCheckpointId } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { setKey } from '../json.ts';
import { configAfter, configOf, placeOf } from './address.ts';
import { newCheckpoint, newWrites } from './new-records.ts';
import { CheckpointReader, type DeltaOptions } from './reader.ts';
import { countedWrites, inWriteOrder, type NewCheckpoint, type NewWrites } from './records.ts';
import { serde } from './serde.ts';
import { createStateLimit, type StateLimit } from './sizes.ts';
import { store } from './store.ts';
import { type SerializedValue, type SerializeOptions } from './units.ts';
import { loadSerialized } from './decode.ts';
import { renewVersions } from './versions.ts';

/** Keeps the checkpoints of an edit by hand until `store` writes them all, in the caller's transaction. */
export class EditSaver extends CheckpointReader {
  declare protected readonly limit: StateLimit;
  readonly #records: (NewCheckpoint | NewWrites)[] = [];
  readonly #metadata: Record<string, unknown>;
  /** Channel values of the checkpoints that were read with writes on top, by checkpoint id. */
  readonly #withWrites = new Map<string, Record<string, unknown>>();
  /** The writes of the current update, by node. They are stored in the metadata of its checkpoint. */
  writes: Record<string, unknown> | undefined;
  /** The error of a failed read. Then the update fails because of the database, not because of its values. */
  failure: unknown;

  constructor(
    query: Query,
    metadata: Record<string, unknown>,
    {
      by = serde,
      stateLimitBytes = Infinity,
    }: { by?: SerializerProtocol; stateLimitBytes?: number } = {},
  ) {
    super(query, by, { limit: createStateLimit(stateLimitBytes) });
    this.#metadata = metadata;
  }

  /** The values do not change during an edit, so the event loop can serve other requests while the edit serializes them. */
  get #how(): SerializeOptions {
    return { mostBytes: this.limit.mostBytes, isStill: true };
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const made = this.#findMade(config);
    const tuple = await (made ? this.#loadMade(made) : this.#read(config));
    if (tuple?.pendingWrites?.length) {
      this.#withWrites.set(tuple.checkpoint.id, { ...tuple.checkpoint.channel_values });
    }
    return tuple;
  }

  override async getDeltaChannelHistory(options: DeltaOptions) {
    // An edit with several checkpoints makes a new thread without branches.
    if (this.#findMade(options.config)) return this.walkDeltaHistory(options);
    return this.#reading(() => super.getDeltaChannelHistory(options));
  }

  #read(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    return this.#reading(() => super.getTuple(config));
  }

  async #reading<Read>(read: () => Promise<Read>): Promise<Read> {
    try {
      return await read();
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  }

  /** The checkpoint of this edit with the id in the configuration, or its newest one. */
  #findMade(config: RunnableConfig): NewCheckpoint | undefined {
    const { threadId, namespace } = placeOf(config);
    const id = getCheckpointId(config);
    const made = this.#records.filter((record) => 'checkpoint' in record);
    return made.findLast(
      (each) =>
        each.threadId === threadId &&
        each.namespace === namespace &&
        (!id || each.checkpoint.id === id),
    );
  }

  /** The checkpoint in new objects, as a reader would get it from the database. */
  async #loadMade(made: NewCheckpoint): Promise<CheckpointTuple> {
    const { threadId, namespace, parentId, checkpoint, metadata } = made;
    return {
      config: configOf(threadId, namespace, checkpoint.id),
      checkpoint: {
        ...checkpoint,
        channel_values: await this.#loadChannels(made),
        channel_versions: { ...checkpoint.channel_versions },
        versions_seen: structuredClone(checkpoint.versions_seen),
      },
      metadata: structuredClone(metadata) as unknown as CheckpointMetadata,
      pendingWrites: await this.#loadWrites(made),
      ...(parentId !== undefined && { parentConfig: parentConfigOf(made) }),
    };
  }

  /** Decodes the channels written by this edit. The rest come from the stored checkpoint under the edit. */
  async #loadChannels(made: NewCheckpoint): Promise<Record<string, unknown>> {
    const written = new Map<string, SerializedValue>();
    let oldest = made;
    for (let each: NewCheckpoint | undefined = made; each; each = this.#parentOf(each)) {
      for (const { channel, version, value } of each.values)
        written.set(`${version} ${channel}`, value);
      oldest = each;
    }
    const base =
      oldest.parentId === undefined ? undefined : await this.#read(parentConfigOf(oldest));
    const channels: Record<string, unknown> = {};
    const { channel_values: live, channel_versions: versions } = made.checkpoint;
    for (const [channel, version] of Object.entries(versions)) {
      if (live[channel] === undefined) continue;
      const own = written.get(`${version} ${channel}`);
      const value: unknown = own
        ? await loadSerialized(this.serde, own)
        : base?.checkpoint.channel_values[channel];
      setKey(channels, channel, value);
    }
    return channels;
  }

  #parentOf(made: NewCheckpoint): NewCheckpoint | undefined {
    if (made.parentId === undefined) return undefined;
    return this.#findMade(parentConfigOf(made));
  }

  async #loadWrites({
    threadId,
    namespace,
    checkpoint,
  }: NewCheckpoint): Promise<CheckpointPendingWrite[]> {
    const records = this.#records.filter((record) => 'writes' in record);
    const writes = countedWrites(
      records.filter(
        (each) =>
          each.threadId === threadId &&
          each.namespace === namespace &&
          each.checkpointId === checkpoint.id,
      ),
    );
    return Promise.all(
      inWriteOrder(writes).map(
        async ({ taskId, channel, value }): Promise<CheckpointPendingWrite> => [
          taskId,
          channel,
          await loadSerialized(this.serde, value),
        ],
      ),
    );
  }

  override async put(
    config: RunnableConfig,
    changed: Checkpoint,
    metadata: CheckpointMetadata,
    changedVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const unversioned = this.#unversioned(config, changed, changedVersions);
    const { checkpoint, renewed } = renewVersions(changed, unversioned);
    const newVersions = { ...changedVersions, ...renewed };
    // If an update changes only the next nodes, LangGraph copies the metadata. This checkpoint belongs to no run.
    const { run_id: _run, assistant_id: _assistant, ...own } = metadata as Record<string, unknown>;
    const added = { ...own, ...this.#metadata, ...(this.writes && { writes: this.writes }) };
    const made = { checkpoint, metadata: added, newVersions };
    const record = await newCheckpoint(config, made, this.#how);
    this.limit.check(record);
    this.#records.push(record);
    return configAfter(config, checkpoint.id);
  }

  /**
   * The channels changed by LangGraph without a new version. Before an update, LangGraph applies the writes of finished tasks of
   * the step to the state.
   */
  #unversioned(
    config: RunnableConfig,
    { channel_values: values }: Checkpoint,
    newVersions: ChannelVersions,
  ): string[] {
    const before = this.#withWrites.get(getCheckpointId(config));
    if (!before) return [];
    return Object.keys({ ...before, ...values }).filter(
      (channel) => !(channel in newVersions) && values[channel] !== before[channel],
    );
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath = '',
  ): Promise<void> {
    const record = await newWrites(config, { taskId, taskPath, writes }, this.#how);
    this.limit.check(record);
    this.#records.push(record);
  }

  /** Stores the records in their order. */
  async store(query: Query): Promise<void> {
    for (const [threadId, records] of byThread(this.#records)) {
      // A copy, because the transaction may be repeated.
      const items = this.itemsOf(threadId).copy();
      await store(query, { threadId, fence: null, items }, { records });
    }
  }
}

/** Names the parent of a checkpoint. */
function parentConfigOf({ threadId, namespace, parentId = '' }: NewCheckpoint): RunnableConfig {
  return configOf(threadId, namespace, parentId);
}

function byThread<Placed extends { threadId: string }>(
  records: readonly Placed[],
): Map<string, Placed[]> {
  const threads = new Map<string, Placed[]>();
  for (const record of records) {
    threads.set(record.threadId, [...(threads.get(record.threadId) ?? []), record]);
  }
  return threads;
}
