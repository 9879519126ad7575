import { MemorySaver } from '@langchain/langgraph-checkpoint';
import { describe, expect } from 'vitest';
import { toPlain } from '../src/checkpoints/plain.ts';
import { sql } from '../src/db/sql.ts';
import { randomId } from './support/app.ts';
import { ofType, type RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';
import * as graphs from './support/graphs.ts';
import {
  ALL_MODES,
  checkpointsOf,
  follow,
  record,
  tasksOf,
  typesOf,
  type Event,
  type Mode,
} from './support/stream-events.ts';
import { withoutIds } from './support/streamed.ts';

interface Debug {
  step: number;
  type: string;
  timestamp: string;
  payload: Record<string, any>;
}

interface Traced {
  event: string;
  name: string;
  run_id: string;
  parent_ids: string[];
  tags: string[];
  metadata: Record<string, unknown>;
  data: Record<string, any>;
}

type ToolCall = Record<string, unknown>;

const debugOf = (events: Event[]) =>
  ofType(events, 'DebugEvent').map(({ debug, namespace }) => ({
    ...(debug as unknown as Debug),
    namespace,
  }));
const tracedOf = (events: Event[]) =>
  ofType(events, 'LangChainEvent').map(({ traced }) => traced as unknown as Traced);
const callsOf = (events: Event[]) =>
  ofType(events, 'ToolsEvent').map(({ call }) => call as ToolCall);

const NESTED: RunInput = { assistantId: 'deep', streamSubgraphs: true, onCompletion: 'KEEP' };

describe('DEBUG', () => {
  const HISTORY = operation(`query ($id: ID!) { thread(id: $id) {
    history(first: 100) { nodes { checkpointId parentCheckpointId values next step } }
  } }`);

  const checkpointsIn = (events: Event[]) =>
    debugOf(events).filter(({ type }) => type === 'checkpoint');

  it.for(['SYNC', 'ASYNC'] as const)(
    'shows the checkpoints of the history, oldest first, each with its parent, under %s',
    async (durability, { client }) => {
      const threadId = await client.createThread();
      const input = { threadId, assistantId: 'parallel', durability, streamModes: ['DEBUG'] };
      await record(client, input as RunInput);
      const events = await record(client, input as RunInput);
      const { thread } = await client.gql(HISTORY, { id: threadId });
      const history = thread?.history.nodes.toReversed() ?? [];
      const own = checkpointsIn(events);
      expect(own).toHaveLength(4);
      expect(
        own.map(({ step, payload: { checkpoint, parent_checkpoint, ...payload } }) => ({
          checkpointId: checkpoint.checkpoint_id,
          parentCheckpointId: parent_checkpoint.checkpoint_id,
          values: payload['values'],
          next: payload['next'],
          step,
        })),
      ).toEqual(history.slice(4));
    },
  );

  it('names a checkpoint and its parent by ids, and nothing else of the configuration', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const config = { configurable: { password: 'hidden', model: 'small' } };
    const events = await record(client, {
      threadId,
      assistantId: 'parallel',
      config,
      streamModes: ['DEBUG'],
    });
    const at = (id: unknown) => ({ thread_id: threadId, checkpoint_ns: '', checkpoint_id: id });
    const ids = checkpointsIn(events).map(({ payload }) => payload['checkpoint'].checkpoint_id);
    for (const [n, { payload }] of checkpointsIn(events).entries()) {
      const parent = n === 0 ? null : at(ids[n - 1]);
      expect(payload).toMatchObject({
        config: { configurable: at(ids[n]) },
        checkpoint: { ...at(ids[n]), checkpoint_map: null },
        parent_config: parent && { configurable: parent },
        parent_checkpoint: parent && { ...parent, checkpoint_map: null },
      });
      expect(Object.keys(payload['config'].configurable)).toHaveLength(3);
    }
  });

  it('shows the tasks of TASKS and the checkpoints of CHECKPOINTS, with their steps', async ({
    client,
  }) => {
    const events = await record(client, NESTED);
    const debug = debugOf(events);
    expect(debug.filter(({ type }) => type !== 'checkpoint').map(({ payload }) => payload)).toEqual(
      tasksOf(events),
    );
    const shown = debug.filter(({ type }) => type === 'checkpoint');
    expect(
      shown.map(({ payload, namespace }) => ({
        checkpointId: payload['checkpoint'].checkpoint_id,
        namespace,
        values: payload['values'],
        next: payload['next'],
        metadata: payload['metadata'],
      })),
    ).toEqual(
      checkpointsOf(events).map(
        ({ checkpointId, namespace, shown: { values, next, metadata } }) => ({
          checkpointId,
          namespace,
          values,
          next,
          metadata,
        }),
      ),
    );
    for (const { step, payload } of shown) expect(step).toBe(payload['metadata'].step);
    for (const { timestamp } of debug) expect(new Date(timestamp).toISOString()).toBe(timestamp);
    const steps = debug.filter(({ type, namespace }) => type === 'task' && namespace.length === 0);
    expect(steps.map(({ step, payload }) => [step, payload['name']])).toEqual([
      [1, 'top'],
      [2, 'middle'],
    ]);
  });

  it('gives the address of a subgraph as the checkpoint of its task', async ({ client }) => {
    const events = await record(client, NESTED);
    const tasks = checkpointsIn(events).flatMap(({ payload, namespace }) =>
      payload['tasks'].map((task: any) => ({ ...task, namespace })),
    );
    const middle = tasks.find(({ name }) => name === 'middle');
    const threadId = checkpointsIn(events)[0]?.payload['checkpoint'].thread_id;
    const address = { thread_id: threadId, checkpoint_ns: `middle:${middle.id}` };
    expect(middle.checkpoint).toEqual(address);
    const deepest = tasks.find(({ name }) => name === 'deepest');
    expect(deepest.namespace).toEqual([address.checkpoint_ns]);
    expect(deepest.checkpoint.checkpoint_ns).toBe(`${address.checkpoint_ns}|deepest:${deepest.id}`);
    expect(tasks.find(({ name }) => name === 'top')).not.toHaveProperty('checkpoint');
    for (const task of tasks) expect(task).not.toHaveProperty('state');
  });

  it.for<[string, Partial<RunInput>]>([
    ['durability EXIT', { durability: 'EXIT', onCompletion: 'KEEP' }],
    ['a thread that is gone', { onCompletion: 'DELETE' }],
  ])(
    'shows values and parents also without stored checkpoints: %s',
    async ([, options], { client }) => {
      const events = await record(client, { assistantId: 'parallel', ...options });
      const shown = checkpointsIn(events).map(({ payload }) => payload);
      expect(shown.map(({ values }) => values)).toEqual([
        { log: [] },
        { log: [] },
        { log: ['left', 'right'] },
        { log: ['left', 'right', 'join'] },
      ]);
      const ids = shown.map(({ checkpoint }) => checkpoint.checkpoint_id);
      expect(ids).toEqual(checkpointsOf(events).map(({ checkpointId }) => checkpointId));
      expect(shown.map(({ parent_checkpoint: parent }) => parent?.checkpoint_id)).toEqual([
        undefined,
        ...ids.slice(0, -1),
      ]);
    },
  );

  it('does not store the state a second time', async ({ client, server }) => {
    const text = 'unrepeated '.repeat(30);
    const events = await record(client, {
      assistantId: 'echo',
      input: { messages: [{ role: 'user', content: text }] },
      streamModes: ['DEBUG'],
      onCompletion: 'KEEP',
    });
    const last = checkpointsIn(events).at(-1);
    expect(last?.payload['values'].messages[0].content).toBe(text);
    const rows = await server.app.sql.query<{ data: { payload: object } }>(
      sql`SELECT "data" FROM "RunEvent" WHERE "threadId" = ${last?.payload['checkpoint'].thread_id}
        AND "type" = 'DEBUG' AND "data"->>'type' = 'checkpoint'`,
    );
    expect(rows).toHaveLength(checkpointsIn(events).length);
    for (const { data } of rows) expect(data.payload).not.toHaveProperty('values');
  });
});

describe('TOOLS', () => {
  it('shows the start of each call, its partial results and its end, or its error', async ({
    client,
  }) => {
    const events = await record(client, { assistantId: 'toolRun', input: { messages: [] } });
    const calls = callsOf(events);
    const ofCall = (id: string) => calls.filter(({ toolCallId }) => toolCallId === id);
    const own = { toolCallId: 'call-0', name: 'forecast' };
    expect(ofCall('call-0')).toMatchObject([
      { event: 'on_tool_start', ...own, input: '{"city":"Rome"}' },
      { event: 'on_tool_event', ...own, data: 'Looking at Rome' },
      { event: 'on_tool_event', ...own, data: { sky: 'grey' } },
      {
        event: 'on_tool_end',
        ...own,
        output: { type: 'tool', content: 'Rain in Rome.', tool_call_id: 'call-0' },
      },
    ]);
    expect(ofCall('call-1')).toEqual([
      { event: 'on_tool_start', toolCallId: 'call-1', name: 'closed', input: '{"city":"Rome"}' },
      {
        event: 'on_tool_error',
        toolCallId: 'call-1',
        name: 'closed',
        error: { name: 'RangeError', message: 'Rome is closed.' },
      },
    ]);
    // The tag langsmith:hidden.
    expect(calls).toHaveLength(6);
  });

  it('shows the calls of a subgraph with its namespace, and only with streamSubgraphs', async ({
    client,
  }) => {
    const input = { assistantId: 'nestedToolRun', input: { messages: [] } };
    const events = await record(client, { ...input, streamSubgraphs: true });
    const inner = tasksOf(events).find(({ name }) => name === 'inner');
    const namespaces = ofType(events, 'ToolsEvent').map(({ namespace }) => namespace);
    expect(namespaces).toEqual(Array.from({ length: 6 }, () => [`inner:${inner?.id}`]));
    expect(callsOf(await record(client, input))).toEqual([]);
  });

  it('shows no error of a tool that asks: the call starts again with the answer', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const run = { threadId, assistantId: 'toolAsk', streamModes: ['TOOLS'] as Mode[] };
    const input = { messages: [{ role: 'user', content: 'Ada' }] };
    expect(callsOf(await record(client, { ...run, input }))).toEqual([
      { event: 'on_tool_start', toolCallId: 'call-0', name: 'sendMail', input: '{"to":"Ada"}' },
    ]);
    const answered = await record(client, {
      ...run,
      input: null,
      command: { resume: [{ value: 'yes' }] },
    });
    expect(callsOf(answered).map(({ event }) => event)).toEqual(['on_tool_start', 'on_tool_end']);
  });
});

describe('EVENTS', () => {
  /** The events of LangChain's own `streamEvents`, without the stream of the graph. */
  async function streamedEvents(graph: any, input: unknown): Promise<Traced[]> {
    const checkpointer = new MemorySaver();
    const stream = graph.streamEvents(input, {
      version: 'v2',
      configurable: { thread_id: randomId(), __pregel_checkpointer: checkpointer },
    });
    const events: Traced[] = [];
    for await (const event of stream) events.push(toPlain(event) as Traced);
    const root = events[0]?.run_id;
    return events.filter(
      ({ event, run_id, tags }) =>
        !tags.includes('langsmith:hidden') && !(event === 'on_chain_stream' && run_id === root),
    );
  }

  /** Without ids and with the message of an error only. Runs in parallel may end in any order. */
  function comparable(events: Traced[]): unknown {
    const shown = events.map(({ event, name, tags, data: { error, ...data } }) => ({
      event,
      name,
      tags,
      data: { ...data, ...(error && { error: error.split('\n')[0] }) },
    }));
    return withoutIds(shown);
  }

  const { toolRun, nestedToolRun, traced, deep, fanOut } = graphs;

  it.for(Object.entries({ toolRun, nestedToolRun, traced, deep, fanOut }))(
    'are the events of streamEvents in process, those of subgraphs included: %s',
    async ([assistantId, graph], { client }) => {
      const input = { log: [], messages: [], jobs: ['a', 'b'] };
      const events = await record(client, { assistantId, input, streamModes: ['EVENTS'] });
      expect(comparable(tracedOf(events))).toEqual(comparable(await streamedEvents(graph, input)));
      expect(ofType(events, 'LangChainEvent').flatMap(({ namespace }) => namespace)).toEqual([]);
    },
  );

  it('name the runs above each run, from the run of the server on, and its node', async ({
    client,
  }) => {
    const run = { assistantId: 'nestedToolRun', input: { messages: [] } };
    const { id } = await client.startRun({ ...run, streamModes: ['EVENTS'] });
    const events = tracedOf(await follow(client, id));
    const started = events.filter(({ event }) => event.endsWith('_start'));
    const names = new Map(started.map(({ run_id, name }) => [run_id, name]));
    const model = started.find(({ event }) => event === 'on_chat_model_start');
    expect(model?.parent_ids[0]).toBe(id);
    expect(model?.parent_ids.map((parent) => names.get(parent))).toEqual([
      'LangGraph',
      'inner',
      'LangGraph',
      'model',
    ]);
    expect(model?.metadata).toMatchObject({ langgraph_node: 'model', run_id: id });
    const hidden = events.flatMap(({ metadata }) => Object.keys(metadata));
    expect(hidden.filter((key) => key.startsWith('__'))).toEqual([]);
    expect(events.at(0)).toMatchObject({ run_id: id, parent_ids: [], event: 'on_chain_start' });
    expect(events.at(-1)).toMatchObject({ run_id: id, parent_ids: [], event: 'on_chain_end' });
  });

  it('show no stack of an error', async ({ client }) => {
    const events = await record(client, {
      assistantId: 'toolRun',
      input: { messages: [] },
      streamModes: ['EVENTS'],
    });
    const failed = tracedOf(events).filter(({ event }) => event === 'on_tool_error');
    expect(failed.map(({ data }) => data)).toEqual([
      { input: { city: 'Rome' }, error: 'Rome is closed.' },
    ]);
  });

  it('are none for a run with the hidden tag', async ({ client }) => {
    const events = await record(client, {
      assistantId: 'toolRun',
      input: { messages: [] },
      config: { tags: ['langsmith:hidden'] },
    });
    expect(tracedOf(events)).toEqual([]);
  });
});

describe('a run without these modes', () => {
  const VALUES = operation(`query ($id: ID!) { thread(id: $id) { values } }`);
  const SIX = ALL_MODES.filter((mode) => !['DEBUG', 'TOOLS', 'EVENTS'].includes(mode));

  it.for<[Mode[], string[]]>([
    [['VALUES', 'UPDATES', 'CUSTOM', 'TASKS', 'CHECKPOINTS', 'DEBUG'], []],
    [['MESSAGES'], ['StreamMessagesHandler']],
    [['TOOLS'], ['ToolEventsHandler']],
    [['EVENTS'], ['event_stream_tracer']],
  ])('has no handlers of them: %s', async ([streamModes, names], { client }) => {
    const threadId = await client.createThread();
    await record(client, { threadId, assistantId: 'handlers', streamModes });
    const { thread } = await client.gql(VALUES, { id: threadId });
    expect(valuesOf(thread?.values).log).toEqual(names);
  });

  it('records the same events', async ({ client }) => {
    const few = await record(client, { ...NESTED, streamModes: SIX });
    const all = await record(client, NESTED);
    const types = ['DebugEvent', 'ToolsEvent', 'LangChainEvent'];
    const others = all.filter(({ __typename }) => !types.includes(__typename));
    const shape = (events: Event[]) => withoutIds(events.map(({ id: _, ...event }) => event));
    expect(shape(others)).toEqual(shape(few));
    for (const type of ['DebugEvent', 'LangChainEvent']) expect(typesOf(all)).toContain(type);
  });
});
