import { randomUUID } from 'node:crypto';
import { Command } from '@langchain/langgraph';
import type {
  BaseCheckpointSaver,
  CheckpointPendingWrite,
  CheckpointTuple,
} from '@langchain/langgraph-checkpoint';
import { MemorySaver, WRITES_IDX_MAP } from '@langchain/langgraph-checkpoint';
import { readConfig } from '../../src/config.ts';
import { SYSTEM } from '../../src/auth/viewer.ts';
import { EditSaver } from '../../src/checkpoints/edit-saver.ts';
import { isMessage } from '../../src/checkpoints/plain.ts';
import { CheckpointReader } from '../../src/checkpoints/reader.ts';
import type { Database } from '../../src/db/open.ts';
import { sql } from '../../src/db/sql.ts';
import { withCheckpointer } from '../../src/graphs/load.ts';
import { copyThread } from '../../src/threads/copy.ts';
import { startAttempt } from './attempts.ts';
import { buildGraph, nameOf, toInput, type Deed, type GraphSpec } from './random-graph.ts';

/** The storage of threads. */
interface Store {
  /** Does work with the saver of an attempt, as a run does. */
  run<T>(threadId: string, work: (saver: BaseCheckpointSaver) => Promise<T>): Promise<T>;
  /** Does work with the saver of an edit by hand. */
  edit<T>(threadId: string, work: (saver: BaseCheckpointSaver) => Promise<T>): Promise<T>;
  copy(threadId: string): Promise<string>;
  reader: BaseCheckpointSaver;
  namespaces(threadId: string): Promise<string[]>;
}

/** MemorySaver, with corrections for data that it loses. */
class ReferenceSaver extends MemorySaver {
  /** The tasks with writes of the current run. */
  #written: Set<string> | undefined;

  begin(what: 'run' | 'edit'): this {
    this.#written = what === 'run' ? new Set() : undefined;
    return this;
  }

  /**
   * If a run with durability "exit" ends before its first step, LangGraph stores its checkpoint again. MemorySaver then makes
   * the checkpoint its own parent and loses the checkpoints before it.
   */
  override put(...[config, ...rest]: Parameters<MemorySaver['put']>) {
    const { thread_id: thread, checkpoint_ns: namespace = '' } = config.configurable ?? {};
    const stored = this.storage[thread]?.[namespace]?.[rest[0].id];
    if (!stored) return super.put(config, ...rest);
    return super.put(
      { configurable: { ...config.configurable, checkpoint_id: stored[2] } },
      ...rest,
    );
  }

  /**
   * A run that repeats a task may write different values than the run before, and continues with them. This server then has
   * the new writes of the task. MemorySaver would keep the first writes.
   */
  override async putWrites(...[config, writes, taskId]: Parameters<MemorySaver['putWrites']>) {
    const {
      thread_id: thread,
      checkpoint_ns: namespace,
      checkpoint_id: id,
    } = config.configurable ?? {};
    const place = JSON.stringify([thread, namespace, id]);
    const task = `${place} ${taskId}`;
    const isResult = writes.some(([channel]) => !(channel in WRITES_IDX_MAP));
    if (this.#written && isResult && !this.#written.has(task)) {
      this.#written.add(task);
      const stored = this.writes[place] ?? {};
      for (const [key, [writer, channel]] of Object.entries(stored)) {
        if (writer !== taskId || channel in WRITES_IDX_MAP) continue;
        const write = writes[Number(key.slice(taskId.length + 1))];
        // The new write has the position of the old one.
        if (write) stored[key] = [taskId, write[0], (await this.serde.dumpsTyped(write[1]))[1]];
        else delete stored[key];
      }
    }
    return super.putWrites(config, writes, taskId);
  }
}

export function memoryStore(): Store {
  const saver = new ReferenceSaver();
  return {
    reader: saver,
    run: (_threadId, work) => work(saver.begin('run')),
    edit: (_threadId, work) => work(saver.begin('edit')),
    async copy(threadId) {
      const id = randomUUID();
      saver.storage[id] = structuredClone(saver.storage[threadId] ?? {});
      for (const [key, writes] of Object.entries(saver.writes)) {
        const [owner, ...place] = JSON.parse(key) as string[];
        if (owner === threadId)
          saver.writes[JSON.stringify([id, ...place])] = structuredClone(writes);
      }
      return id;
    },
    namespaces: async (threadId) => Object.keys(saver.storage[threadId] ?? {}),
  };
}

export function databaseStore({ sql: database }: Database): Store {
  return {
    reader: new CheckpointReader(database.query),
    async run(threadId, work) {
      const attempt = await startAttempt(database.query, threadId);
      const ended = await Promise.allSettled([work(attempt.saver)]);
      if (attempt.signal.aborted) throw attempt.signal.reason;
      await attempt.end();
      const [outcome] = ended;
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    },
    async edit(_threadId, work) {
      const saver = new EditSaver(database.query, {});
      const result = await work(saver);
      await database.transaction((query) => saver.store(query));
      return result;
    },
    copy: async (threadId) =>
      (await copyThread({ config: readConfig({}), sql: database }, SYSTEM, threadId)).id,
    async namespaces(threadId) {
      const rows = await database.query<{ namespace: string }>(
        sql`SELECT DISTINCT "namespace" FROM "Checkpoint" WHERE "threadId" = ${threadId}`,
      );
      return rows.map(({ namespace }) => namespace);
    },
  };
}

interface Namespace {
  namespace: string;
  /** The tuples without ids. This text distinguishes the namespaces of tasks of one superstep. */
  content: string;
  tuples: unknown[];
}

interface Told {
  outcomes: unknown[];
  found: { now: unknown; history: unknown[]; namespaces: Namespace[] }[];
}

/** Executes the operations of a story. Returns the result of each, and all states afterwards. */
export async function tell(store: Store, spec: GraphSpec, deeds: Deed[]): Promise<Told> {
  const graph = buildGraph(spec);
  let threadId: string = randomUUID();
  const threads = [threadId];
  const outcomes: unknown[] = [];
  for (const deed of deeds) {
    try {
      outcomes.push(await perform(deed));
    } catch (error) {
      outcomes.push(error);
    }
  }
  const found: Told['found'] = [];
  for (const each of threads) found.push(await read(each));
  return { outcomes, found };

  async function perform(deed: Deed): Promise<unknown> {
    switch (deed.do) {
      case 'run': {
        const stop = deed.stopBefore === null ? [] : [nameOf(spec, deed.stopBefore)];
        return invoke(toInput(deed.input), { ...deed, interruptBefore: stop });
      }
      case 'go on':
        return invoke(null, deed);
      case 'answer': {
        const { tasks } = await state();
        const [id] = tasks.flatMap(({ interrupts }) => interrupts.map((each) => each.id));
        if (id === undefined) return 'nothing is asked';
        const resume = deed.byId ? { [id]: deed.answer } : deed.answer;
        return invoke(new Command({ resume }), deed);
      }
      case 'update':
        return update(toInput(deed.input), { asNode: deed.asNode });
      case 'fork by run': {
        const from = await checkpointAt(deed.from);
        return invoke(deed.input && toInput(deed.input), { ...deed, from });
      }
      case 'fork by update': {
        const from = await checkpointAt(deed.from);
        return update(toInput(deed.input), { asNode: deed.asNode, from });
      }
      case 'copy': {
        const copy = await store.copy(threadId);
        threads.push(copy);
        if (!deed.stay) threadId = copy;
        return 'copied';
      }
      default:
        return deed satisfies never;
    }
  }

  function invoke(
    input: unknown,
    options: { durability: 'sync' | 'async' | 'exit'; interruptBefore?: string[]; from?: string },
  ): Promise<unknown> {
    const { durability, interruptBefore, from } = options;
    return store.run(threadId, (saver) =>
      graph.invoke(input as any, {
        configurable: { ...place(from), __pregel_checkpointer: saver },
        durability,
        recursionLimit: 100,
        ...(interruptBefore?.length && { interruptBefore }),
      }),
    );
  }

  function update(
    values: Record<string, unknown>,
    { asNode, from }: { asNode: number | null; from?: string },
  ): Promise<unknown> {
    const node = asNode === null ? undefined : nameOf(spec, asNode);
    return store.edit(threadId, (saver) =>
      withCheckpointer(graph, saver).updateState({ configurable: place(from) }, values, node),
    );
  }

  function place(from?: string) {
    return { thread_id: threadId, checkpoint_ns: '', ...(from && { checkpoint_id: from }) };
  }

  function state(from?: string) {
    return withCheckpointer(graph, store.reader).getState({ configurable: place(from) });
  }

  async function checkpointAt(index: number): Promise<string | undefined> {
    const ids: string[] = [];
    for await (const { checkpoint } of store.reader.list({
      configurable: place(),
    })) {
      ids.push(checkpoint.id);
    }
    return ids[index % Math.max(ids.length, 1)];
  }

  /** Reads the current state with its subgraphs, every state of the history, and the checkpoints of every namespace. */
  async function read(thread: string): Promise<Told['found'][number]> {
    const config = { configurable: { thread_id: thread } };
    const reading = withCheckpointer(graph, store.reader);
    // LangGraph cannot read a state if two tasks of its step wrote a channel for a single value.
    const now: unknown = await reading
      .getState(config, { subgraphs: true })
      .catch((error) => error);
    const history: unknown[] = [];
    for await (const snapshot of reading.getStateHistory(config)) {
      history.push(snapshot);
      // Reads every third state of the history again by its config.
      if (history.length % 3 === 0) history.push(await reading.getState(snapshot.config));
    }
    const namespaces: Namespace[] = [];
    for (const namespace of await store.namespaces(thread)) {
      const tuples: CheckpointTuple[] = [];
      const within = { configurable: { thread_id: thread, checkpoint_ns: namespace } };
      for await (const tuple of store.reader.list(within)) tuples.push(tuple);
      const shown = tuples.map(withoutVersions);
      // The id of the first checkpoint is last, because ids grow with time.
      const content = `${JSON.stringify(shown, withEntries).replace(ID, '#')} ${tuples.at(-1)?.checkpoint.id}`;
      namespaces.push({ namespace, content, tuples: shown });
    }
    return { now, history, namespaces };
  }
}

/**
 * Removes the differences between the savers. Versions are unique over branches here. MemorySaver also keeps the default of a
 * channel without writes, and every graph makes this default again.
 */
function withoutVersions({ checkpoint, pendingWrites = [], ...tuple }: CheckpointTuple): unknown {
  const { channel_values: values, v } = checkpoint;
  const kept = Object.entries(values).filter(([, value]) => !isDefault(value));
  return {
    ...tuple,
    checkpoint: { v, values: Object.fromEntries(kept) },
    pendingWrites: byTask(pendingWrites),
  };
}

/**
 * Returns the writes of each task. The order of tasks in one superstep depends on time, and LangGraph ignores it. The results
 * of tasks show the task of each write.
 */
function byTask(writes: CheckpointPendingWrite[]): unknown {
  const tasks = new Map<string, CheckpointPendingWrite[]>();
  for (const write of writes) tasks.set(write[0], [...(tasks.get(write[0]) ?? []), write]);
  const known = (group: CheckpointPendingWrite[]) =>
    JSON.stringify(group, withEntries).replace(ID, '#');
  return Array.from(tasks.values())
    .toSorted((a, b) => (known(a) < known(b) ? -1 : 1))
    .map((group) =>
      group.map(([, channel, value]) => [
        channel,
        channel === '__interrupt__' ? questions(value) : value,
      ]),
    );
}

/** JSON.stringify leaves out the contents of sets and maps. */
function withEntries(_key: string, value: unknown): unknown {
  return value instanceof Set || value instanceof Map ? [...value] : value;
}

function isDefault(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return !value;
  return value instanceof Set ? value.size === 0 : Object.keys(value).length === 0;
}

const ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b/g;

/** Returns plain data without times, with ids numbered in order of appearance. Two stores must agree on it. */
export function comparable({ outcomes, found }: Told): unknown {
  const ids = new Map<string, string>();
  const name = (text: string) =>
    text.replace(ID, (id) => {
      if (!ids.has(id)) ids.set(id, `#${ids.size + 1}`);
      return ids.get(id) as string;
    });
  /** Sorts namespaces by a key without the ids of tasks. */
  const orderOf = ({ namespace, content }: Namespace) => {
    const known = namespace.replace(ID, (id) => ids.get(id) ?? '#');
    return `${namespace.split('|').length} ${known} ${content}`;
  };
  return walk([
    outcomes,
    found.map(({ now, history, namespaces }) => {
      const shown = walk([now, history]);
      const rest: unknown[] = [];
      for (let left = namespaces; left.length > 0; left = left.slice(1)) {
        left = left.toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
        const [next] = left;
        if (next) rest.push(walk([next.namespace, next.tuples]));
      }
      return [shown, rest];
    }),
  ]);

  function walk(value: unknown): unknown {
    if (typeof value === 'string') return name(value);
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((each) => walk(each));
    if (isMessage(value)) return walk({ message: value.getType(), data: value.toDict().data });
    if (value instanceof Set) return { set: walk([...value]) };
    if (value instanceof Map) return { map: walk([...value]) };
    if (value instanceof Error) return { error: value.name, message: walk(firstLine(value)) };
    const entries = Object.entries(value).filter(
      ([key, each]) => key !== 'createdAt' && key !== '__pregel_checkpointer' && each !== undefined,
    );
    return Object.fromEntries(
      entries
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, each]) => [name(key), key === '__interrupt__' ? questions(each) : walk(each)]),
    );
  }
}

/** Returns the questions of a waiting run, in an order that does not depend on the order of the tasks. */
function questions(interrupts: unknown): unknown {
  if (!Array.isArray(interrupts)) return [];
  return interrupts.map(({ value }) => JSON.stringify(value)).toSorted((a, b) => (a < b ? -1 : 1));
}

function firstLine({ message }: Error): string {
  return message.split('\n')[0] ?? '';
}

/** Returns the first difference between two stories. */
export function firstDifference(actual: unknown, expected: unknown, path = ''): string | undefined {
  if (actual === expected) return undefined;
  if (!isObject(actual) || !isObject(expected)) return both(path, actual, expected);
  const keys = Object.keys(expected);
  if (Object.keys(actual).length !== keys.length) return both(path, actual, expected);
  for (const key of keys) {
    const found = firstDifference(
      Reflect.get(actual, key),
      Reflect.get(expected, key),
      `${path}.${key}`,
    );
    if (found) return found;
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function both(path: string, actual: unknown, expected: unknown): string {
  return `At ${path}\n${JSON.stringify(actual)}\ninstead of\n${JSON.stringify(expected)}`;
}
