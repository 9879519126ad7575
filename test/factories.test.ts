import path from 'node:path';
import type { VariablesOf } from 'gql.tada';
import { beforeEach, describe, expect } from 'vitest';
import { readHistory } from '../src/checkpoints/history.ts';
import type { Query } from '../src/db/query.ts';
import { randomId, type TestApp } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';
import { createDirectory, installCopies } from './support/own-copies.ts';

/** Functions of the configuration, in a file outside this project. Tests read their calls and make them fail. */
const GRAPHS = `
  import { Annotation, END, START, StateGraph, interrupt } from '@langchain/langgraph';
  const test = (globalThis.factoryTest ??= { calls: [], broken: false });
  const make = (tenant, channels) => {
    const State = Annotation.Root({ log: Annotation(), ...channels });
    const ask = () => ({ log: interrupt('May ' + tenant + '?'), ...(channels.extra && { extra: tenant }) });
    return new StateGraph(State)
      .addNode('ask_' + tenant, ask)
      .addNode('end', () => ({}))
      .addEdge(START, 'ask_' + tenant)
      .addConditionalEdges('ask_' + tenant, (_, { configurable }) => (configurable.tenant === tenant ? 'end' : END))
      .compile();
  };
  export function strict(config) {
    test.calls.push(config);
    const { tenant } = config.configurable ?? {};
    if (!tenant || test.broken) throw new Error('configurable.tenant is required');
    return make(tenant, { extra: Annotation() });
  }
  export function dynamic(config) {
    const { tenant } = config.configurable ?? {};
    return make(tenant ?? 'nobody', tenant ? { extra: Annotation() } : {});
  }
  export function greedy({ configurable }) {
    const tools = configurable.tools ?? [];
    if (configurable.user) tools.push('tool of ' + configurable.user);
    return new StateGraph(Annotation.Root({ tools: Annotation() }))
      .addNode('n', (_, config) => {
        const given = [...(config.configurable.tools ?? [])];
        config.configurable.tools?.push('tool of a node');
        return { tools: [...tools, given.length] };
      })
      .addEdge(START, 'n')
      .compile();
  }
  export function byContext({ context }) {
    if (!context?.tenant) throw new Error('context.tenant is required');
    return make(context.tenant, {});
  }`;

interface FactoryTest {
  calls: { configurable: Record<string, unknown> }[];
  broken: boolean;
}

const factory: FactoryTest = { calls: [], broken: false };
Object.assign(globalThis, { factoryTest: factory });

// oxlint-disable-next-line no-empty-pattern -- vitest reads the names of the fixtures from the pattern
it.override('settings', async ({}, { onCleanup }) => {
  const ids = ['strict', 'dynamic', 'greedy', 'byContext'];
  const project = await createDirectory({
    'graphs.mjs': GRAPHS,
    'langgraph.json': { graphs: Object.fromEntries(ids.map((id) => [id, `./graphs.mjs:${id}`])) },
  });
  onCleanup(() => project[Symbol.asyncDispose]());
  await installCopies(project.directory, []);
  return { graphsFile: path.join(project.directory, 'langgraph.json') };
});

beforeEach(() => Object.assign(factory, { calls: [], broken: false }));

const RUN = operation(`mutation ($input: CreateRunInput!) {
  createRun(wait: true, input: $input) { id threadId config status output error { message } thread { values } }
}`);
const THREAD = operation(`query ($id: ID!) {
  thread(id: $id) {
    status values messages { text } interrupts { node }
    state { next values tasks { name } interrupts { value } }
    history { nodes { checkpointId step next values writes runId } }
  }
}`);
const EDIT = operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { checkpointId next values tasks { name } }
}`);
const UPDATE_DEFAULT = operation(`mutation ($input: UpdateAssistantInput!) {
  updateAssistant(id: "strict", input: $input) { id }
}`);

type RunInput = VariablesOf<typeof RUN>['input'];
type Edit = VariablesOf<typeof EDIT>['input'];

async function run(client: Client, input: RunInput) {
  const { createRun } = await client.gql(RUN, { input: { ifThreadMissing: 'CREATE', ...input } });
  return createRun;
}

async function read(client: Client, id: string) {
  const { thread } = await client.gql(THREAD, { id });
  return thread ?? expect.fail(`No thread ${id}`);
}

async function edit(client: Client, id: string, input: Edit) {
  return (await client.gql(EDIT, { id, input })).updateThreadState;
}

const of = (tenant: string) => ({ config: { configurable: { tenant } } });

/** Makes a thread with an open question of this tenant. */
async function ask(
  client: Client,
  assistantId: string,
  tenant: string,
  threadId = randomId(),
): Promise<string> {
  const { error } = await run(client, {
    assistantId,
    threadId,
    input: { log: 'begun' },
    ...of(tenant),
  });
  expect(error).toBeNull();
  return threadId;
}

describe('A function that makes graphs', () => {
  it('changes no configuration of an assistant or of another run, and a node does not either', async ({
    client,
  }) => {
    const config = { configurable: { tools: ['search'] } };
    const { createAssistant: assistant } = await client.gql(
      operation(
        `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { id } }`,
      ),
      { input: { graphId: 'greedy', config } },
    );
    for (const user of ['ada', 'bob']) {
      const ran = await run(client, {
        assistantId: assistant.id,
        input: {},
        threadId: randomId(),
        config: { configurable: { user } },
      });
      expect(valuesOf(ran.thread?.values)['tools']).toEqual(['search', `tool of ${user}`, 1]);
      expect(ran.config).toEqual({ configurable: { tools: ['search'], user } });
    }
    const stored = await client.gql(
      operation(`query ($id: ID!) { assistant(id: $id) { config } }`),
      { id: assistant.id },
    );
    expect(stored.assistant?.config).toEqual(config);
  });

  it('gets the whole configuration of a run before the run is accepted, and when it begins', async ({
    client,
  }) => {
    const threadId = await ask(client, 'strict', 'acme');
    const configurable = { tenant: 'acme', thread_id: threadId, graph_id: 'strict' };
    const [accepted, begun] = factory.calls;
    expect(accepted).toMatchObject({ configurable, tags: [] });
    expect(begun).toEqual(accepted);

    const ran = await run(client, {
      assistantId: 'byContext',
      threadId: randomId(),
      input: {},
      context: { tenant: 'acme' },
    });
    expect(ran).toMatchObject({ status: 'INTERRUPTED', error: null });
    expect((await read(client, ran.threadId ?? '')).state?.next).toEqual(['ask_acme']);
  });
});

describe.each(['strict', 'dynamic'])('A thread of the graph %s, made by configuration', (graph) => {
  it('is read with the configuration of its run: values, state, history, lists, events, output and copies', async ({
    client,
  }) => {
    const threadId = await ask(client, graph, 'acme');
    const waiting = await read(client, threadId);
    expect(waiting).toMatchObject({
      status: 'INTERRUPTED',
      values: { log: 'begun' },
      interrupts: [{ node: 'ask_acme' }],
      state: {
        next: ['ask_acme'],
        tasks: [{ name: 'ask_acme' }],
        interrupts: [{ value: 'May acme?' }],
      },
    });
    expect(waiting.history.nodes.map((each) => each.next)).toEqual([['ask_acme'], ['__start__']]);

    const command = { resume: [{ value: 'yes' }] };
    const asked: RunInput = { assistantId: graph, threadId, streamModes: ['VALUES'] };
    const ran = await run(client, { ...asked, command, ...of('acme') });
    const values = { log: 'yes', extra: 'acme' };
    expect(ran).toMatchObject({ status: 'SUCCESS', output: values });
    expect(await read(client, threadId)).toMatchObject({ values, state: { next: [], values } });

    const events = await client.follow(ran.id);
    const shown = events.filter((event) => event.__typename === 'ValuesEvent');
    expect(shown.at(-1)).toMatchObject({ values });
    const { threads } = await client.gql(
      operation(`query ($ids: [ID!]) { threads(filter: { ids: $ids }) { nodes { values } } }`),
      { ids: [threadId] },
    );
    expect(threads.nodes).toEqual([{ values }]);

    const { copyThread: copy } = await client.gql(
      operation(`mutation ($id: ID!) { copyThread(id: $id) { id } }`),
      { id: threadId },
    );
    const { history, ...original } = await read(client, threadId);
    const copied = await read(client, copy.id);
    expect(copied).toMatchObject(original);
    expect(copied.history.nodes).toEqual(history.nodes);
  });

  it('shows each checkpoint with its own configuration', async ({ client }) => {
    const threadId = await ask(client, graph, 'acme');
    await ask(client, graph, 'umbrella', threadId);
    const { history, state } = await read(client, threadId);
    expect(state?.next).toEqual(['ask_umbrella']);
    expect(history.nodes.map((each) => each.next)).toEqual([
      ['ask_umbrella'],
      ['__start__'],
      ['ask_acme'],
      ['__start__'],
    ]);
  });

  it('is edited, and edited again, with the configuration of the run before', async ({
    client,
  }) => {
    const threadId = await ask(client, graph, 'acme');
    const values = { log: 'by hand', extra: 'too' };
    const first = await edit(client, threadId, { asNode: 'ask_acme', values });
    // The edge sees the configuration.
    expect(first).toMatchObject({ next: ['end'], values, tasks: [{ name: 'end' }] });
    const second = await edit(client, threadId, { asNode: '__start__', values: { log: 'anew' } });
    expect(second).toMatchObject({ next: ['ask_acme'], values: { log: 'anew', extra: 'too' } });
    expect((await read(client, threadId)).history.nodes[1]?.next).toEqual(['end']);

    // The second configuration has different nodes. A branch off the first checkpoint has the nodes of the first.
    await ask(client, graph, 'umbrella', threadId);
    const branch = { checkpointId: first.checkpointId, values: { log: 'branch' } };
    expect(await edit(client, threadId, { ...branch, asNode: 'ask_acme' })).toMatchObject({
      next: ['end'],
    });
    const [error] = await client.errors(EDIT, {
      id: threadId,
      input: { ...branch, asNode: 'ask_umbrella' },
    });
    expect(error?.message).toContain('there is no node "ask_umbrella"');
  });

  it('is read with the configuration of the last run where its own was deleted', async ({
    client,
  }) => {
    const threadId = await ask(client, graph, 'acme');
    const deleted = await run(client, {
      assistantId: graph,
      threadId,
      input: { log: 'more' },
      ...of('umbrella'),
    });
    const kept = await ask(client, graph, 'acme', threadId);
    await client.gql(operation(`mutation ($id: ID!) { deleteRun(id: $id) }`), { id: deleted.id });
    const { history } = await read(client, kept);
    expect(history.nodes.map((each) => valuesOf(each.values).log)).toEqual(
      expect.arrayContaining(['begun', 'more']),
    );
  });
});

describe('A new thread with supersteps', () => {
  it("is made and read with the configuration of the graph's default assistant", async ({
    client,
  }) => {
    const input = {
      graphId: 'strict',
      supersteps: [{ updates: [{ values: { log: 'told' }, asNode: 'ask_acme' }] }],
    };
    const create = operation(
      `mutation ($input: CreateThreadInput) { createThread(input: $input) { id state { next values } } }`,
    );
    const [error] = await client.errors(create, { input });
    expect(error?.message).toContain('configurable.tenant is required');

    await client.gql(UPDATE_DEFAULT, { input: of('acme') });
    const { createThread } = await client.gql(create, { input });
    expect(createThread.state).toEqual({ next: ['end'], values: { log: 'told' } });
    await client.gql(UPDATE_DEFAULT, { input: { config: {} } });
  });
});

describe('A function that fails', () => {
  it('leaves the stored values to see', async ({ client }) => {
    const threadId = await ask(client, 'strict', 'acme');
    factory.broken = true;
    const { state, history, ...thread } = await read(client, threadId);
    expect(thread).toMatchObject({ status: 'INTERRUPTED', values: { log: 'begun' } });
    expect(state).toEqual({ next: [], values: { log: 'begun' }, tasks: [], interrupts: [] });
    expect(history.nodes.map((each) => each.values)).toEqual([{ log: 'begun' }, {}]);

    const [error] = await client.errors(EDIT, {
      id: threadId,
      input: { asNode: 'ask_acme', values: { log: 'by hand' } },
    });
    expect(error?.extensions['code']).toBe('BAD_USER_INPUT');
    expect(error?.message).toContain('configurable.tenant is required');
  });
});

describe('A page of checkpoints', () => {
  /** Reads a history with its states. Returns the numbers of statements and of calls of the factory. */
  async function cost(server: TestApp, threadId: string) {
    let statements = 0;
    const query: Query = (...args) => {
      statements++;
      return server.app.sql.query(...args);
    };
    factory.calls = [];
    const app = { ...server.app, sql: { ...server.app.sql, query } };
    const { edges } = await readHistory(app, threadId, { filter: { namespace: '' } });
    for (const { node } of edges) await node.snapshot();
    return { statements, calls: factory.calls.length };
  }

  it('takes one more statement, and one call for each configuration', async ({
    server,
    client,
  }) => {
    const threadId = await ask(client, 'strict', 'acme');
    const once = await cost(server, threadId);
    // The page, its configurations, its values.
    expect(once).toEqual({ statements: 3, calls: 1 });
    for (let i = 0; i < 3; i++) await ask(client, 'strict', 'acme', threadId);
    expect(await cost(server, threadId)).toEqual(once);
    await ask(client, 'strict', 'umbrella', threadId);
    expect(await cost(server, threadId)).toEqual({ ...once, calls: 2 });
  });

  it('is read with one call in a request that shows it in several ways', async ({ client }) => {
    const threadId = await ask(client, 'strict', 'acme');
    factory.calls = [];
    await read(client, threadId);
    expect(factory.calls).toHaveLength(1);
  });
});
