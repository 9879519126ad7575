import path from 'node:path';
import { Command, MemorySaver, type StateSnapshot } from '@langchain/langgraph';
import { emptyCheckpoint, uuid5 } from '@langchain/langgraph-checkpoint';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { EditSaver } from '../src/checkpoints/edit-saver.ts';
import { CheckpointReader } from '../src/checkpoints/reader.ts';
import { withCheckpointer } from '../src/graphs/load.ts';
import { randomId, type TestApp } from './support/app.ts';
import { startAttempt } from './support/attempts.ts';
import type { Client, RunInput } from './support/client.ts';
import { steps } from './support/delta-graphs.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';

const graphsFile = path.join(import.meta.dirname, 'support/delta-graphs.json');
it.override('settings', { graphsFile });

const RUN = operation(`mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) {
    status threadId error { message } thread { values interrupts { id } }
  }
}`);

const UPDATE = operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { values }
}`);

const HISTORY = operation(`query ($id: ID!) {
  thread(id: $id) {
    values
    history(first: 100) { nodes {
      checkpointId parentCheckpointId source step values next tasks { name state { values } }
    } }
  }
}`);

async function run(client: Client, input: Partial<RunInput>) {
  const { createRun } = await client.gql(RUN, {
    input: { assistantId: 'steps', ifThreadMissing: 'CREATE', ...input },
  });
  expect(createRun.error).toBeNull();
  return createRun;
}

async function historyOf(client: Client, id: string) {
  const { thread } = await client.gql(HISTORY, { id });
  const { nodes } = thread?.history ?? expect.fail(`No thread ${id}`);
  expect(thread?.values).toEqual(nodes[0]?.values);
  return nodes;
}

async function copyOf(client: Client, id: string): Promise<string> {
  return (await client.gql(operation(`mutation ($id: ID!) { copyThread(id: $id) { id } }`), { id }))
    .copyThread.id;
}

const message = (id: string) => ({ messages: [{ id, role: 'user', content: 'one' }] });
const ids = (values: unknown) => valuesOf(values).messages.map(({ id }) => id);

describe('A DeltaChannel', () => {
  /** Makes a thread with an answer of `talk` to h1. Returns the checkpoint before this answer. */
  async function talkedThread(client: Client) {
    const threadId = randomId();
    await run(client, { assistantId: 'talk', threadId, input: message('h1') });
    const history = await historyOf(client, threadId);
    const checkpointId = history.find(({ step }) => step === 0)?.checkpointId;
    return { threadId, checkpointId };
  }
  const branches = (history: { values: unknown }[]) =>
    history.map(({ values }) => ids(values).join(' '));
  const FIRST = ['h1 a1', 'h1', ''];

  it('holds after a fork what its own branch wrote: with an input', async ({ client }) => {
    const { threadId, checkpointId } = await talkedThread(client);
    const fork = await run(client, {
      assistantId: 'talk',
      threadId,
      checkpointId,
      input: message('h2'),
    });
    expect(ids(fork.thread?.values)).toEqual(['h1', 'h2', 'a2']);
    expect(branches(await historyOf(client, threadId))).toEqual([
      'h1 h2 a2',
      'h1 h2',
      'h1',
      ...FIRST,
    ]);
  });

  it('holds after a fork what its own branch wrote: without an input', async ({ client }) => {
    const { threadId, checkpointId } = await talkedThread(client);
    const fork = await run(client, { assistantId: 'talk', threadId, checkpointId });
    expect(ids(fork.thread?.values)).toEqual(['h1', 'a1']);
    expect(branches(await historyOf(client, threadId))).toEqual(['h1 a1', 'h1', ...FIRST]);
  });

  it('holds after a fork what its own branch wrote: with an edit by hand', async ({ client }) => {
    const { threadId, checkpointId } = await talkedThread(client);
    for (const id of ['h2', 'h3']) {
      const input = { values: message(id), asNode: 'a', checkpointId };
      const { updateThreadState } = await client.gql(UPDATE, { id: threadId, input });
      expect(ids(updateThreadState.values)).toEqual(['h1', id]);
    }
    const next = await run(client, { assistantId: 'talk', threadId, input: message('h4') });
    expect(ids(next.thread?.values)).toEqual(['h1', 'h3', 'h4', 'a3']);
    expect(branches(await historyOf(client, threadId))).toEqual([
      'h1 h3 h4 a3',
      'h1 h3 h4',
      'h1 h3',
      'h1 h3',
      'h1 h2',
      ...FIRST,
    ]);
  });

  it('is in a copy of a thread what it is in the thread, and goes on from there', async ({
    client,
  }) => {
    const { threadId, checkpointId } = await talkedThread(client);
    await run(client, { assistantId: 'talk', threadId, checkpointId, input: message('h2') });
    const before = await historyOf(client, threadId);
    const copy = await copyOf(client, threadId);
    expect(await historyOf(client, copy)).toEqual(before);
    const more = { assistantId: 'talk', threadId: copy };
    const again = await run(client, { ...more, checkpointId, input: message('h3') });
    expect(ids(again.thread?.values)).toEqual(['h1', 'h3', 'a2']);
    const next = await run(client, { ...more, input: message('h4') });
    expect(ids(next.thread?.values)).toEqual(['h1', 'h3', 'a2', 'h4', 'a4']);
    expect(await historyOf(client, threadId)).toEqual(before);
  });
});

type Durability = 'SYNC' | 'ASYNC' | 'EXIT';

/** `from` is the number of checkpoints after the start of the deed. */
type Deed =
  | { do: 'run'; line: string | null; asks: boolean; from: number | null; durability: Durability }
  | { do: 'answer'; durability: Durability }
  | { do: 'update'; lines: string[]; asNode: string; from: number | null }
  | { do: 'copy' };

const line = fc.constantFrom('a', 'b', 'c');
const durability = fc.constantFrom<Durability[]>('SYNC', 'ASYNC', 'EXIT');
const from = fc.option(fc.nat(12));
const deed = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('run'),
      line: fc.option(line, { freq: 3 }),
      asks: fc.boolean(),
      from,
      durability,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('answer'), durability }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('update'),
      lines: fc.array(line, { maxLength: 2 }),
      asNode: fc.constantFrom('first', 'left', 'part', 'last'),
      from,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('copy') }) },
) as fc.Arbitrary<Deed>;

/** The same thread twice: on the server, and in process on a MemorySaver. */
async function createTwins(client: Client) {
  const saver = new MemorySaver();
  const graph = withCheckpointer(steps, saver);
  let threadId = randomId();
  const serverIds: string[] = [];
  const placeOf = (checkpoint_id?: string) => ({
    configurable: {
      thread_id: threadId,
      checkpoint_ns: '',
      ...(checkpoint_id && { checkpoint_id }),
    },
  });

  /** The history on the MemorySaver, as the last `expectedHistory` has read it. */
  let past: StateSnapshot[] = [];

  async function snapshots() {
    const found: StateSnapshot[] = [];
    for await (const each of graph.getStateHistory(placeOf())) found.push(each);
    return found;
  }

  /** Null before the first checkpoint. */
  async function valuesAt(config: object) {
    const { values, metadata } = await graph.getState(config);
    return metadata ? values : null;
  }

  async function expectedHistory() {
    past = await snapshots();
    const all = past.map(({ config }) => config.configurable?.['checkpoint_id']);
    return Promise.all(
      past.map(async ({ values, next, metadata, parentConfig, tasks }) => ({
        values,
        next,
        source: metadata?.source.toUpperCase(),
        step: metadata?.step,
        parent: all.indexOf(parentConfig?.configurable?.['checkpoint_id']),
        tasks: await Promise.all(
          tasks.map(async ({ name, state }) => ({
            name,
            values: state ? await valuesAt(state) : null,
          })),
        ),
      })),
    );
  }

  async function actualHistory() {
    const nodes = await historyOf(client, threadId);
    serverIds.splice(0, Infinity, ...nodes.map(({ checkpointId }) => checkpointId));
    return nodes.map(({ values, next, source, step, parentCheckpointId, tasks }) => ({
      values,
      next,
      source,
      step,
      parent: serverIds.indexOf(parentCheckpointId ?? ''),
      tasks: tasks.map(({ name, state }) => ({ name, values: state?.values ?? null })),
    }));
  }

  async function perform(done: Deed): Promise<void> {
    const at = 'from' in done && done.from !== null ? done.from % (past.length || 1) : undefined;
    const checkpointId = at === undefined ? undefined : serverIds[at];
    const config = placeOf(
      at === undefined ? undefined : past[at]?.config.configurable?.checkpoint_id,
    );
    const durable = (chosen: Durability) => ({
      ...config,
      durability: chosen.toLowerCase() as 'sync',
    });
    switch (done.do) {
      case 'run': {
        if (done.line === null && past.length === 0) return;
        const input = done.line === null ? null : { log: [done.line], asks: done.asks };
        await Promise.all([
          run(client, { threadId, input, checkpointId, durability: done.durability }),
          graph.invoke(input as any, durable(done.durability)),
        ]);
        return;
      }
      case 'answer': {
        if (!past[0]?.tasks.some(({ interrupts }) => interrupts.length > 0)) return;
        const command = { resume: [{ value: 'yes' }] };
        await Promise.all([
          run(client, { threadId, command, durability: done.durability }),
          graph.invoke(new Command({ resume: 'yes' }), durable(done.durability)),
        ]);
        return;
      }
      case 'update': {
        if (past.length === 0) return;
        const { lines, asNode } = done;
        const input = { values: { log: lines }, asNode, checkpointId };
        await client.gql(UPDATE, { id: threadId, input });
        await graph.updateState(config, { log: lines }, asNode);
        return;
      }
      case 'copy': {
        if (past.length === 0) return;
        const copy = await copyOf(client, threadId);
        saver.storage[copy] = structuredClone(saver.storage[threadId] ?? {});
        for (const [key, writes] of Object.entries(saver.writes)) {
          const [owner, ...place] = JSON.parse(key) as string[];
          if (owner !== threadId) continue;
          saver.writes[JSON.stringify([copy, ...place])] = structuredClone(writes);
        }
        threadId = copy;
        return;
      }
      default:
        done satisfies never;
    }
  }

  return { perform, expectedHistory, actualHistory };
}

describe('A thread with DeltaChannels', () => {
  it(
    'has the same states as on MemorySaver, whatever is done',
    { timeout: 600_000 },
    async ({ client }) => {
      await fc.assert(
        fc.asyncProperty(fc.array(deed, { minLength: 2, maxLength: 6 }), async (deeds) => {
          const twins = await createTwins(client);
          const start: Deed = { do: 'run', line: 'x', asks: false, from: null, durability: 'SYNC' };
          for (const each of [start, ...deeds]) {
            await twins.perform(each);
            const [actual, expected] = await Promise.all([
              twins.actualHistory(),
              twins.expectedHistory(),
            ]);
            expect(actual).toEqual(expected);
          }
        }),
        {
          seed: Number(process.env['DELTA_SEED'] || 2026),
          numRuns: Number(process.env['DELTA_CASES'] || 25),
        },
      );
    },
  );
});

describe('The history of a DeltaChannel', () => {
  const taskId = uuid5('task', randomId());
  const checkpoint = (step: number) => ({
    ...emptyCheckpoint(),
    id: `1f000000-0000-6000-8000-${String(step).padStart(12, '0')}`,
  });
  const metadata = (source: 'input' | 'loop' | 'fork', step: number) => ({
    source,
    step,
    parents: {},
  });

  /** The writes to channel `log` on the path to a checkpoint. */
  async function logAt(server: TestApp, config: object) {
    const reader = new CheckpointReader(server.app.sql.query);
    const { log } = await reader.getDeltaChannelHistory({ config, channels: ['log'] });
    return log?.writes.map(([, , value]) => value);
  }

  it('has no writes of another branch, as LangGraph before 1.5 expects it', async ({ server }) => {
    const { query } = server.app.sql;
    const first = await startAttempt(query);
    const { threadId } = first;
    const place = { configurable: { thread_id: threadId, checkpoint_ns: '' } };
    const root = await first.saver.put(place, checkpoint(1), metadata('loop', 0), {});
    await first.saver.putWrites(root, [['log', 'one']], taskId);
    await first.saver.putWrites(root, [['log', 'side']], uuid5('other', taskId));
    const one = await first.saver.put(root, checkpoint(2), metadata('loop', 1), {});
    await first.end();

    // The same task again with another result, and an additional task.
    const second = await startAttempt(query, threadId);
    await second.saver.putWrites(root, [['log', 'two']], taskId);
    await second.saver.putWrites(root, [['log', 'more']], uuid5('third', taskId));
    const two = await second.saver.put(root, checkpoint(3), metadata('loop', 1), {});
    await second.end();

    const third = await startAttempt(query, threadId);
    const input = await third.saver.put(root, checkpoint(4), metadata('input', 1), {});
    await third.end();

    const edit = new EditSaver(query, {});
    await edit.putWrites(root, [['log', 'by hand']], uuid5('edit', taskId));
    const edited = await edit.put(root, checkpoint(5), metadata('loop', 1), {});
    await server.app.sql.transaction((transaction) => edit.store(transaction));

    const logs = await Promise.all([one, two, input, edited].map((each) => logAt(server, each)));
    expect(logs.map((log) => log?.toSorted())).toEqual([
      ['one', 'side'],
      ['more', 'two'],
      [],
      ['by hand'],
    ]);
  });

  it('has what a run wrote that made no checkpoint, unless the next one has an input or forks', async ({
    server,
  }) => {
    const { query } = server.app.sql;
    const first = await startAttempt(query);
    const { threadId } = first;
    const place = { configurable: { thread_id: threadId, checkpoint_ns: '' } };
    const root = await first.saver.put(place, checkpoint(1), metadata('loop', 0), {});
    await first.end();
    const interrupted = await startAttempt(query, threadId);
    await interrupted.saver.putWrites(root, [['log', 'done']], taskId);
    await interrupted.end();
    const resumed = await startAttempt(query, threadId);
    await resumed.saver.putWrites(root, [['log', 'asked']], uuid5('other', taskId));
    const next = await resumed.saver.put(root, checkpoint(2), metadata('loop', 1), {});
    const input = await resumed.saver.put(root, checkpoint(3), metadata('input', 1), {});
    await resumed.end();
    const forking = await startAttempt(query, threadId);
    const fork = await forking.saver.put(root, checkpoint(4), metadata('fork', 1), {});
    await forking.end();
    expect(await logAt(server, fork)).toEqual([]);
    expect((await logAt(server, next))?.toSorted()).toEqual(['asked', 'done']);
    expect(await logAt(server, input)).toEqual(['asked']);
  });
});
