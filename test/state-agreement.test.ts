import { MemorySaver, type StateSnapshot } from '@langchain/langgraph';
import { describe, expect } from 'vitest';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import * as graphs from './support/graphs.ts';
import { getHistory, getState, UPDATE, type State } from './support/thread-states.ts';

// Runs each graph with LangGraph in memory and on the server, and compares the states.

type Values = Record<string, unknown>;
type Config = Pick<StateSnapshot['config'], 'configurable'>;

interface InMemory {
  invoke(input: unknown, config: Config): Promise<unknown>;
  updateState(config: Config, values: unknown, asNode?: string): Promise<Config>;
  getState(config: Config): Promise<StateSnapshot>;
  getStateHistory(config: Config): AsyncIterable<StateSnapshot>;
}

interface Compilable {
  builder: { compile(options: { checkpointer: MemorySaver }): InMemory };
}

const CONFIG: Config = { configurable: { thread_id: 'thread' } };

/** Returns the compared fields of a state in memory, as JSON. */
function expectedOf({ values, next, metadata, tasks }: StateSnapshot): unknown {
  const fields = {
    values: values ?? {},
    next,
    source: String(metadata?.source).toUpperCase(),
    step: metadata?.step,
    parents: metadata?.parents,
    tasks: tasks.map((task) => ({
      name: task.name,
      path: (task.path ?? []).map(String),
      failed: task.error !== undefined,
      asks: task.interrupts.map(({ value }) => value),
      result: ('result' in task ? task.result : undefined) ?? null,
    })),
  };
  return JSON.parse(JSON.stringify(fields));
}

/** Returns the compared fields of a state on the server. */
function comparedOf({ values, next, source, step, metadata, tasks }: ComparedState): unknown {
  return {
    values,
    next,
    source,
    step,
    parents: metadata['parents'],
    tasks: tasks.map(({ name, path, error, interrupts, result }) => ({
      name,
      path,
      failed: error !== null,
      asks: interrupts.map(({ value }) => value),
      result,
    })),
  };
}

type ComparedState = Omit<State, 'values'> & { values: unknown };

interface Both {
  client: Client;
  inMemory: InMemory;
  threadId: string;
  assistantId: string;
}

async function createBoth(client: Client, assistantId: string, graph: Compilable): Promise<Both> {
  return {
    client,
    assistantId,
    inMemory: graph.builder.compile({ checkpointer: new MemorySaver() }),
    threadId: await client.createThread(),
  };
}

/** Runs the graph in both places. Without an input, the graph continues from its state. */
async function runBoth(
  { client, inMemory, threadId, assistantId }: Both,
  input: Values | null = null,
): Promise<void> {
  await inMemory.invoke(input, CONFIG).catch(() => {});
  await client.runToEnd({ threadId, assistantId, input });
}

async function compareHeads({ client, inMemory, threadId }: Both): Promise<void> {
  const state = await inMemory.getState(CONFIG);
  expect(comparedOf(await getState(client, threadId))).toEqual(expectedOf(state));
  expect(await nextAlone(client, threadId)).toEqual(state.next);
}

const NEXT = operation(`query ($id: ID!) { thread(id: $id) { state { next } } }`);
const STEPS = operation(`query ($id: ID!) {
  thread(id: $id) { history(first: 100) { nodes { next ran } } }
}`);

/** Reads the next nodes without other fields of the state: the server then loads no values. */
async function nextAlone(client: Client, id: string) {
  return (await client.gql(NEXT, { id })).thread?.state?.next;
}

/** Compares the nodes before and after each checkpoint, read without the values. */
async function compareSteps(both: Both, states: readonly StateSnapshot[]): Promise<void> {
  const byId = new Map(states.map((state) => [idOf(state.config), state]));
  const expected = states.map(({ next, metadata, parentConfig }) => {
    const parent = metadata?.source === 'loop' ? byId.get(idOf(parentConfig)) : undefined;
    return { next, ran: sorted(parent?.next ?? []) };
  });
  const { thread } = await both.client.gql(STEPS, { id: both.threadId });
  const steps = thread?.history.nodes ?? [];
  expect(steps.map(({ next, ran }) => ({ next, ran: sorted(ran) }))).toEqual(expected);
}

function idOf(config: Config | undefined): unknown {
  return config?.configurable?.['checkpoint_id'];
}

function sorted(nodes: readonly unknown[]): string[] {
  return nodes.map(String).toSorted();
}

async function historyInMemory({ inMemory }: Both): Promise<StateSnapshot[]> {
  const states: StateSnapshot[] = [];
  for await (const state of inMemory.getStateHistory(CONFIG)) states.push(state);
  return states;
}

describe('A history', () => {
  const COMPARED: [name: string, graph: Compilable, inputs: Values[]][] = [
    ['steps', graphs.steps, [{}, { log: ['more'] }]],
    ['parallel', graphs.parallel, [{ log: ['first'] }, {}, { log: ['second'] }]],
    ['deferred', graphs.deferred, [{}, { log: ['again'] }]],
    ['nested', graphs.nested, [{}, { log: ['again'] }]],
    ['fanOut', graphs.fanOut, [{ jobs: ['a', 'b', 'c'] }, { jobs: [] }, { jobs: ['d', 'd'] }]],
    ['ask', graphs.ask, [{}, {}]],
    ['nestedAsk', graphs.nestedAsk, [{}]],
    ['fail', graphs.fail, [{ fail: false }, { fail: true }, { fail: true }]],
    ['halfFail', graphs.halfFail, [{}, {}]],
    [
      'shrink',
      graphs.shrink,
      [{ list: [1, 2, 3] }, { list: ['x'] }, { list: [] }, { list: [3, 3, 3] }],
    ],
  ];

  it.for(COMPARED)(
    'of %s is the one that LangGraph keeps in memory',
    async ([assistantId, graph, inputs], { client }) => {
      const both = await createBoth(client, assistantId, graph);
      for (const input of inputs) await runBoth(both, input);
      const expected = await historyInMemory(both);
      const states = await getHistory(client, both.threadId);
      expect(states.map(comparedOf)).toEqual(expected.map(expectedOf));
      await compareSteps(both, expected);
      await compareHeads(both);
    },
  );
});

describe('What updateThreadState makes', () => {
  type Compared = [name: string, graph: Compilable, input: Values, values: Values, nodes: string[]];

  const COMPARED: Compared[] = [
    ['steps', graphs.steps, {}, { log: ['edit'] }, ['step1', 'step10', '__start__']],
    ['parallel', graphs.parallel, { log: ['in'] }, { log: ['edit'] }, ['left', 'join']],
    ['fanOut', graphs.fanOut, { jobs: ['a', 'b'] }, { jobs: ['c'] }, ['plan', 'work', 'done']],
    ['route', graphs.route, { total: 4 }, { total: 5 }, ['pick', 'low']],
    ['ask', graphs.ask, {}, { log: ['edit'], answer: 'yes' }, ['before', 'ask']],
    ['nested', graphs.nested, {}, { log: ['edit'] }, ['outer', 'inner', 'last']],
    ['nestedAsk', graphs.nestedAsk, {}, { log: ['edit'] }, ['inner']],
    ['halfFail', graphs.halfFail, {}, { log: ['edit'] }, ['good', 'bad']],
    ['fail', graphs.fail, { fail: true }, { fail: false }, ['a', 'b']],
    ['shrink', graphs.shrink, { list: [1, 2, 3] }, { list: [9, 9] }, ['drop']],
  ];

  type Edit = [values: Values | null, asNode: string | undefined];

  /** Returns edits as the input, as the end and as each node, with values and without. */
  function editsOf(values: Values, nodes: string[]): Edit[] {
    return [
      [values, undefined],
      [null, undefined],
      [null, '__end__'],
      [values, '__input__'],
      ...nodes.flatMap((node): Edit[] => [
        [values, node],
        [null, node],
      ]),
    ];
  }

  /** Makes the edit in both places. Either both refuse it, or both make the same state. */
  async function compareEdit(
    { client, inMemory, threadId }: Both,
    place: { theirs: Config; ours?: string },
    [values, asNode]: Edit,
  ) {
    const expected = await inMemory
      .updateState(place.theirs, values, asNode)
      .then((made) => inMemory.getState(made))
      .catch((error: Error) => error);
    const input = { values, asNode, checkpointId: place.ours };
    const { data, errors } = await client.request(UPDATE, { id: threadId, input });
    const title = JSON.stringify(input);
    const code = expected instanceof Error ? 'BAD_USER_INPUT' : undefined;
    expect(errors?.[0]?.extensions['code'], title).toBe(code);
    if (expected instanceof Error) return;
    const made = expectedOf(expected);
    expect(data.updateThreadState && comparedOf(data.updateThreadState), title).toEqual(made);
    expect(comparedOf(await getState(client, threadId)), title).toEqual(made);
    expect(await nextAlone(client, threadId), title).toEqual(expected.next);
  }

  it.for(COMPARED)(
    'of %s is what LangGraph makes in memory, after a run and as every node',
    async ([assistantId, graph, input, values, nodes], { client }) => {
      for (const edit of editsOf(values, nodes)) {
        const both = await createBoth(client, assistantId, graph);
        await runBoth(both, input);
        await compareEdit(both, { theirs: CONFIG }, edit);
        await runBoth(both);
        await compareHeads(both);
      }
    },
  );

  it.for(COMPARED)(
    'of %s is what LangGraph makes in memory, at every checkpoint',
    async ([assistantId, graph, input, values, nodes], { client }) => {
      const both = await createBoth(client, assistantId, graph);
      await runBoth(both, input);
      const theirs = await historyInMemory(both);
      const ours = await getHistory(client, both.threadId);
      expect(ours).toHaveLength(theirs.length);
      for (const [i, { config }] of theirs.entries()) {
        for (const edit of editsOf(values, nodes.slice(0, 1))) {
          await compareEdit(both, { theirs: config, ours: ours[i]?.checkpointId }, edit);
        }
      }
      await runBoth(both);
      await compareHeads(both);
    },
  );
});
