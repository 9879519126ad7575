import type { RunnableConfig } from '@langchain/core/runnables';
import type {
  ChannelVersions,
  Checkpoint,
  CheckpointListOptions,
  CheckpointMetadata,
  CheckpointPendingWrite,
  CheckpointTuple,
  PendingWrite,
} from '@langchain/langgraph-checkpoint';
import {
  BaseCheckpointSaver,
  MemorySaver,
  WRITES_IDX_MAP,
  getCheckpointId,
} from '@langchain/langgraph-checkpoint';
import { randomInt } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Query } from '../db/open.ts';
import {
  ClaimLostError,
  isTransactionRollback,
  isUniqueViolation,
  summarizeError,
} from '../errors.ts';
import type { EventLog, Writer } from '../events/log.ts';
import { jsonSerde, serde } from './serde.ts';
import type { CheckpointRow, Fence, NewCheckpoint, NewWrites, Storable } from './store.ts';
import { findTuple, listCheckpoints, loadTuples, store } from './store.ts';
import type { ItemNumbers } from './values.ts';
import { createItemNumbers, serializeValue } from './values.ts';

const VERSION_STEP = 2 ** 32;

/** A version, unlike every other of that count. */
const createVersion = (count: number): number => count * VERSION_STEP + randomInt(1, VERSION_STEP);

const countOf = (version: number): number => Math.floor(version / VERSION_STEP);

/** Of a channel that no step has written: less than 0, which LangGraph takes for what nobody has seen. */
const UNWRITTEN = -VERSION_STEP;

/** Reads a thread's checkpoints. Writing is for those that extend it. */
export class CheckpointReader extends BaseCheckpointSaver {
  protected readonly query: Query;
  readonly #items = new Map<string, ItemNumbers>();
  /** The version that the step under way started from, and the one it writes. */
  #step: { current: number | undefined; next: number } | undefined;

  constructor(query: Query) {
    super(serde);
    this.query = query;
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
    const { threadId, namespace } = place(config);
    const checkpointId = getCheckpointId(config) || undefined;
    const items = this.itemsOf(threadId);
    return findTuple(this.query, threadId, { namespace, checkpointId }, items);
  }

  /** The numbers of a thread's items, as far as they are known here. */
  protected itemsOf(threadId: string): ItemNumbers {
    const items = this.#items.get(threadId) ?? createItemNumbers();
    this.#items.set(threadId, items);
    return items;
  }

  override async *list(
    config: RunnableConfig,
    { limit, before, filter }: CheckpointListOptions = {},
  ): AsyncGenerator<CheckpointTuple> {
    const rows = await listCheckpoints(this.query, {
      threadId: config.configurable?.['thread_id'],
      namespace: config.configurable?.['checkpoint_ns'],
      checkpointId: getCheckpointId(config) || undefined,
      before: before && (getCheckpointId(before) || undefined),
      metadata: filter,
      limit,
    });
    for (const page of pagesOf(rows)) yield* await loadTuples(this.query, page);
  }

  override put(..._: Parameters<BaseCheckpointSaver['put']>): Promise<RunnableConfig> {
    return Promise.reject(new Error('This saver only reads.'));
  }

  override putWrites(..._: Parameters<BaseCheckpointSaver['putWrites']>): Promise<void> {
    return Promise.reject(new Error('This saver only reads.'));
  }

  override async deleteThread(threadId: string): Promise<void> {
    await this.query(`DELETE FROM "Thread" WHERE "id" = $1`, [threadId]);
  }
}

/**
 * Reads checkpoints as LangGraph's getState has to see them: it takes an answer for a result, so that a task that asked on
 * would not be next, and goes on listing the question of a task that has ended.
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

/** What a run's attempt lends its saver. */
export interface SaverOptions {
  fence: Fence;
  /** Added to the metadata of every checkpoint. */
  metadata: Record<string, unknown>;
  /** A thread that is known to have no checkpoint: until one is put, none is looked for. */
  freshThreadId?: string;
  /** What the attempt tells while something that it put waits goes into the same statement. Default: it goes by itself. */
  events?: { log: EventLog; writer: Writer };
  /**
   * The graph does not wait for what it puts: it is stored when it is this attempt's turn, with all that came meanwhile.
   * Default: it waits.
   */
  inTurn?: InTurn | undefined;
  /** Told once of the first failure, a lost claim included; nothing is stored after it. */
  onFailure: (error: unknown) => void;
}

/** A graph that is so many records ahead of the database waits for it. */
const MOST_WAITING = 200;

/** So long may pass until what a graph puts without a pause is on its way. */
const GATHER_MS = 20;

/** Does some work, when others have done enough of theirs. */
export type InTurn = (work: () => Promise<void>) => Promise<void>;

type Serialized = { record: NewCheckpoint | NewWrites } | { error: unknown };

/**
 * Stores the checkpoints of one attempt, fenced by its claim, in the order in which the graph made them. What comes while
 * a statement is under way gathers for the next one.
 *
 * Its writes never reject: under ASYNC a rejection would kill the process or let every remaining node run. A failure
 * goes to `onFailure`, which aborts the attempt, and the write resolves.
 */
export class RunSaver extends CheckpointReader {
  readonly #options: SaverOptions;
  readonly #checkpoints = new Set<string>();
  readonly #puts = new EventEmitter();
  #freshThreadId: string | undefined;
  #newest: CheckpointTuple | undefined;
  #waiting: Promise<Serialized>[] = [];
  /** Resolves when all that was put before is stored, or never will be. */
  #stored: Promise<void> = Promise.resolve();
  /** The statement that is under way. */
  #storing: Promise<void> = Promise.resolve();
  /** What waits is kept for the statement that ends the run. */
  #isKept = false;
  #failed = false;

  constructor(query: Query, options: SaverOptions) {
    super(query);
    this.#options = options;
    this.#freshThreadId = options.freshThreadId;
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const next = after(config, checkpoint.id);
    const added = { ...this.#options.metadata, ...metadata };
    const record = newCheckpoint(config, checkpoint, { metadata: added, newVersions });
    if (place(config).namespace === '') {
      const parent = getCheckpointId(config) ? { parentConfig: config } : {};
      this.#newest = { config: next, checkpoint, metadata: added, ...parent };
    }
    const stored = this.#store(record);
    this.#checkpoints.add(checkpoint.id);
    this.#puts.emit('put');
    // Whatever follows from the input is stored after it, and waits for that.
    await (metadata.source === 'input' ? nextTurn() : this.#until(stored));
    return next;
  }

  /** The thread's checkpoint that was put last, as the graph gave it; undefined where the last one was another thread's. */
  newestOf(threadId: string): CheckpointTuple | undefined {
    const { config } = this.#newest ?? {};
    return config?.configurable?.['thread_id'] === threadId ? this.#newest : undefined;
  }

  /**
   * LangGraph itself puts a checkpoint when the one before is stored, whatever the durability. Where it need not, it still
   * takes a turn: when a graph throws, LangGraph drops what its stream has shown in the same one.
   */
  async #until(stored: Promise<void>): Promise<void> {
    const isFree = this.#options.inTurn && this.#waiting.length <= MOST_WAITING;
    await (isFree ? nextTurn() : stored);
  }

  /** Resolves when all that was put is stored, or never will be. */
  async flush(): Promise<void> {
    this.#isKept = false;
    await this.#storeSoon();
    this.#holdEvents();
  }

  /**
   * What is not on its way to the database, for the statement that ends the run: until `flush`, it stays here too, and what is
   * told waits with it. Undefined where that statement cannot store it.
   */
  async rest(
    threadId: string,
  ): Promise<(Pick<Storable, 'records'> & { items: ItemNumbers }) | undefined> {
    const { events } = this.#options;
    this.#isKept = true;
    await this.#storing;
    events?.log.hold(events.writer);
    const { threads, failure } = await collect(this.#waiting);
    const isOthers = [...threads.keys()].some((id) => id !== threadId);
    if (failure || this.#failed || isOthers) return undefined;
    return { records: threads.get(threadId) ?? [], items: this.itemsOf(threadId) };
  }

  /** Stores nothing any more, and resolves when what was under way is stored. */
  async close(): Promise<void> {
    const stored = this.#stored;
    this.#failed = true;
    this.#holdEvents();
    await stored;
  }

  /** What was put before is what is read, also while it is still being stored. */
  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const { thread_id: threadId } = config.configurable ?? {};
    if (threadId !== undefined && threadId === this.#freshThreadId) return undefined;
    await this.#stored;
    const tuple = await super.getTuple(config);
    if (tuple) this.#checkpoints.add(tuple.checkpoint.id);
    return tuple;
  }

  override async *list(
    config: RunnableConfig,
    options?: CheckpointListOptions,
  ): AsyncGenerator<CheckpointTuple> {
    await this.#stored;
    for await (const tuple of super.list(config, options)) {
      this.#checkpoints.add(tuple.checkpoint.id);
      yield tuple;
    }
  }

  /** Resolves when the checkpoint has been put; also when it never will be, because the attempt was aborted. */
  async whenPut(checkpointId: string, aborted: AbortSignal): Promise<void> {
    while (!this.#checkpoints.has(checkpointId) && !aborted.aborted) {
      await once(this.#puts, 'put', { signal: aborted }).catch(() => {});
    }
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
  ): Promise<void> {
    const stored = this.#store(newWrites(config, writes, taskId));
    await this.#until(stored);
  }

  #store(serializing: Promise<NewCheckpoint | NewWrites>): Promise<void> {
    this.#freshThreadId = undefined;
    this.#waiting.push(
      serializing.then(
        (record) => ({ record }),
        (error: unknown) => ({ error }),
      ),
    );
    this.#holdEvents();
    return this.#storeSoon();
  }

  /** What is told from now on is stored with what waits: whoever reads an event finds the checkpoint that it shows. */
  #holdEvents(): void {
    const { events } = this.#options;
    if (!events) return;
    if (this.#waiting.length > 0 && !this.#failed) events.log.hold(events.writer);
    else events.log.release(events.writer);
  }

  #storeSoon(): Promise<void> {
    // After a statement that takes it along, nothing is left to do.
    const isIdle = () => this.#waiting.length === 0 || this.#failed || this.#isKept;
    const { inTurn = (work) => work() } = this.#options;
    this.#stored = this.#stored.then(async () => {
      if (isIdle()) return;
      await inTurn(async () => {
        await this.#gather();
        if (isIdle()) return;
        this.#storing = this.#storeWaiting();
        await this.#storing;
      });
    });
    return this.#stored;
  }

  /**
   * LangGraph has a task's writes stored first, and shows them, and what follows from them, in the same turn. What comes
   * without a pause is one statement.
   */
  async #gather(): Promise<void> {
    const until = performance.now() + GATHER_MS;
    let gathered: number;
    do {
      gathered = this.#waiting.length;
      await nextTurn();
    } while (this.#waiting.length > gathered && !this.#isKept && performance.now() < until);
  }

  async #storeWaiting(): Promise<void> {
    const { events } = this.#options;
    let taken: ReturnType<typeof collect> | undefined;
    // No sooner than the events that go with it: what was put before one of them was told is here then.
    const take = () => (taken ??= collect(this.#waiting.splice(0)));
    try {
      if (events) {
        const { threadId } = events.writer;
        await events.log.storeWith(events.writer, async (told) => {
          const { threads } = await take();
          return this.#storeOn(threadId, { records: threads.get(threadId) ?? [], events: told });
        });
      }
      const { threads, failure } = await take();
      for (const [threadId, records] of threads) {
        if (threadId === events?.writer.threadId) continue;
        if (this.#failed) break;
        await this.#storeOn(threadId, { records });
      }
      if (failure) throw failure.error;
    } catch (error) {
      this.#failed = true;
      this.#options.onFailure(error);
    }
    this.#holdEvents();
  }

  /** Gives the number of the first event. */
  async #storeOn(threadId: string, storable: Storable): Promise<number> {
    const by = { threadId, fence: this.#options.fence, items: this.itemsOf(threadId) };
    // Once more where somebody else stored the same item, or took the number of an event, at the same time.
    const stored = await store(this.query, by, storable).catch((error: unknown) => {
      if (!isUniqueViolation(error) && !isTransactionRollback(error)) throw error;
      return store(this.query, by, storable);
    });
    if (!stored) throw new ClaimLostError();
    return Number(stored.firstEvent);
  }
}

/** What was put, by thread, up to what could not be serialized, and why that was. */
async function collect(waiting: readonly Promise<Serialized>[]): Promise<{
  threads: Map<string, (NewCheckpoint | NewWrites)[]>;
  failure: { error: unknown } | undefined;
}> {
  const records: (NewCheckpoint | NewWrites)[] = [];
  for (const each of await Promise.all(waiting)) {
    if ('error' in each) return { threads: byThread(records), failure: each };
    records.push(each.record);
  }
  return { threads: byThread(records), failure: undefined };
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

/** Keeps the checkpoints of an edit by hand until `store` writes them all, in the caller's transaction. */
export class EditSaver extends CheckpointReader {
  readonly #memory = new MemorySaver(jsonSerde);
  readonly #records: (NewCheckpoint | NewWrites)[] = [];
  readonly #metadata: Record<string, unknown>;
  /** The values of checkpoints that were read with writes on top. */
  readonly #withWrites = new Map<string, Record<string, unknown>>();
  /** What the update under way writes, by node: kept in the metadata of its checkpoint. */
  writes: Record<string, unknown> | undefined;
  /** Why reading failed: then it is not the update's fault that it cannot be made. */
  failure: unknown;

  constructor(query: Query, metadata: Record<string, unknown>) {
    super(query);
    this.#metadata = metadata;
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const tuple = (await this.#memory.getTuple(config)) ?? (await this.#read(config));
    if (tuple?.pendingWrites?.length) {
      this.#withWrites.set(tuple.checkpoint.id, { ...tuple.checkpoint.channel_values });
    }
    return tuple;
  }

  async #read(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    try {
      return await super.getTuple(config);
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
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
    // Where nothing but what is next changes, LangGraph passes the metadata on; no run has written this one.
    const { run_id: _run, assistant_id: _assistant, ...own } = metadata as Record<string, unknown>;
    const added = { ...own, ...this.#metadata, ...(this.writes && { writes: this.writes }) };
    const record = await newCheckpoint(config, checkpoint, { metadata: added, newVersions });
    this.#records.push(record);
    await this.#memory.put(config, checkpoint, added as unknown as CheckpointMetadata);
    return after(config, checkpoint.id);
  }

  /**
   * What LangGraph changes without a new version: what the tasks of the step had written that ended before the others,
   * which it adds to the state first.
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
  ): Promise<void> {
    this.#records.push(await newWrites(config, writes, taskId));
    await this.#memory.putWrites(config, writes, taskId);
  }

  /** Stores what was kept, in order. */
  async store(query: Query): Promise<void> {
    for (const [threadId, records] of byThread(this.#records)) {
      // Numbers of this transaction alone: one that is tried again begins anew.
      await store(query, { threadId, fence: null, items: createItemNumbers() }, { records });
    }
  }
}

/**
 * The checkpoint with versions of their own for the values of `channels`, and all versions that are new. LangGraph
 * compares versions: each is as old as the one before, everywhere.
 */
function renewVersions(
  checkpoint: Checkpoint,
  channels: readonly string[],
): { checkpoint: Checkpoint; renewed: ChannelVersions } {
  const { channel_versions: before, versions_seen: seenBefore } = checkpoint;
  const unwritten = Object.fromEntries(channels.map((channel) => [channel, UNWRITTEN]));
  const renewals = new Map<unknown, number>();
  for (const channel of channels) {
    const version = Number(before[channel] ?? UNWRITTEN);
    renewals.set(version, renewals.get(version) ?? createVersion(countOf(version)));
  }
  const renew = (versions: ChannelVersions) =>
    mapValues(versions, (version) => renewals.get(version) ?? version);
  const versions = renew({ ...unwritten, ...before });
  const renewed = Object.entries(versions).filter(([name, version]) => version !== before[name]);
  return {
    checkpoint: {
      ...checkpoint,
      channel_versions: versions,
      versions_seen: mapValues(seenBefore, renew),
    },
    renewed: Object.fromEntries(renewed),
  };
}

function mapValues<Value, Mapped>(
  values: Record<string, Value>,
  map: (value: Value) => Mapped,
): Record<string, Mapped> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
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

async function newCheckpoint(
  config: RunnableConfig,
  checkpoint: Checkpoint,
  { metadata, newVersions }: { metadata: Record<string, unknown>; newVersions: ChannelVersions },
): Promise<NewCheckpoint> {
  const changed = Object.keys(newVersions).filter(
    (channel) => checkpoint.channel_values[channel] !== undefined,
  );
  const values = await Promise.all(
    changed.map(async (channel) => ({
      channel,
      version: Number(newVersions[channel]),
      value: await serialize(channel, checkpoint.channel_values[channel]),
    })),
  );
  return {
    ...place(config),
    parentId: getCheckpointId(config) || undefined,
    checkpoint,
    metadata,
    values,
  };
}

async function newWrites(
  config: RunnableConfig,
  writes: PendingWrite[],
  taskId: string,
): Promise<NewWrites> {
  // A node that takes several answers tells each time all that it has: of what has one place, the last one counts.
  const placed = new Map(
    writes.map((write, index) => [WRITES_IDX_MAP[write[0]] ?? index, write] as const),
  );
  const serialized = await Promise.all(
    Array.from(placed, async ([index, [channel, value]]) => ({
      index,
      channel,
      value: await serialize(channel, value),
    })),
  );
  return { ...place(config), checkpointId: getCheckpointId(config), taskId, writes: serialized };
}

async function serialize(channel: string, value: unknown) {
  try {
    return await serializeValue(serde, value);
  } catch (cause) {
    const why = summarizeError(cause).message;
    throw new Error(`The value of channel "${channel}" cannot be stored: ${why}.`, { cause });
  }
}

function place(config: RunnableConfig): { threadId: string; namespace: string } {
  const { thread_id: threadId, checkpoint_ns: namespace = '' } = config.configurable ?? {};
  if (typeof threadId !== 'string') throw new Error('configurable.thread_id is missing.');
  return { threadId, namespace };
}

function after(config: RunnableConfig, checkpointId: string): RunnableConfig {
  const { threadId, namespace } = place(config);
  return {
    configurable: { thread_id: threadId, checkpoint_ns: namespace, checkpoint_id: checkpointId },
  };
}
