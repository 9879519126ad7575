import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MemorySaver } from '@langchain/langgraph-checkpoint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isMessage, toPlain } from '../src/checkpoints/plain.ts';
import type { CompiledGraph } from '../src/graphs/load.ts';
import { isRecord } from '../src/json.ts';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  randomId,
  until,
  type TestApp,
  type Transport,
} from './support/app.ts';
import * as graphs from './support/graphs.ts';

let server: TestApp;
let folder: string;
beforeAll(async () => {
  server = await createTestApp();
  folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-gate-'));
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const ALL_MODES = ['VALUES', 'UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'];
const TRANSPORTS: Transport[] = ['websocket', 'sse'];

const MESSAGE = `messageId type name text toolCallId toolCalls { toolCallId name args }`;

/** Everything that an event shows of what LangGraph streamed. */
const EVENT = `
  __typename id namespace
  ... on ValuesEvent { values }
  ... on UpdatesEvent { node update }
  ... on MessagesEvent { message { ${MESSAGE} } isChunk metadata }
  ... on CustomEvent { data_: data }
  ... on TasksEvent { data }
  ... on CheckpointsEvent { checkpointId data checkpoint { checkpointId namespace values } }
  ... on RunFinishedEvent { status }
`;

const FOLLOW = `subscription ($runId: ID!, $after: ID, $modes: [StreamMode!]) {
  runEvents(runId: $runId, after: $after, modes: $modes) { ${EVENT} }
}`;

const LIST = `query ($id: ID!, $modes: [StreamMode!]) {
  run(id: $id) { events(first: 100, modes: $modes) { nodes { ${EVENT} } } }
}`;

const FOLLOW_THREAD = `subscription ($threadId: ID!, $after: ID, $modes: [StreamMode!]) {
  threadEvents(threadId: $threadId, after: $after, modes: $modes) { ${EVENT} }
}`;

async function createThread(): Promise<string> {
  return (await server.gql(CREATE_THREAD)).createThread.id;
}

async function start(input: Record<string, unknown>): Promise<string> {
  return (await server.gql(CREATE_RUN, { input: { input: {}, ...input } })).createRun.id;
}

async function follow(
  runId: string,
  modes?: string[],
  transport: Transport = 'websocket',
): Promise<any[]> {
  const events: any[] = [];
  const variables = { runId, ...(modes && { modes }) };
  for await (const { runEvents } of server.subscribe(FOLLOW, variables, transport))
    events.push(runEvents);
  return events;
}

async function record(input: Record<string, unknown>): Promise<any[]> {
  return follow(await start({ streamModes: ALL_MODES, ...input }));
}

/** What the runs of the graphs `gate` and `race` wait for. */
function closedGate() {
  const file = path.join(folder, randomId());
  return { file, open: () => writeFile(file, '') };
}

const typeOf = (mode: string) => `${mode[0]}${mode.slice(1).toLowerCase()}Event`;
const ofMode = (events: any[], mode: string) =>
  events.filter(({ __typename }) => __typename === typeOf(mode));
const nodesOf = (events: any[]): string[] => ofMode(events, 'UPDATES').map(({ node }) => node);

/** Ids differ from run to run: each becomes the place at which it first appears. */
function withoutIds<T>(value: T): T {
  const places = new Map<string, string>();
  // LangGraph makes an id for a message out of its run's; the server gives a new one.
  const ids =
    /(?:run-)?[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}(?:-(?:out|tool)-[\w-]+)?|[\da-f]{32}/g;
  const text = JSON.stringify(value, inKeyOrder).replaceAll(ids, (id) => {
    if (!places.has(id)) places.set(id, `#${places.size}`);
    return String(places.get(id));
  });
  return JSON.parse(text);
}

function inKeyOrder(_key: string, value: unknown): unknown {
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => a.localeCompare(b)));
}

/** What an event shows, put as LangGraph would. */
function shown(event: any): unknown[] {
  const { __typename, namespace, values, node, update, message, data } = event;
  if (__typename === 'ValuesEvent') return [namespace, 'values', values];
  if (__typename === 'UpdatesEvent') return [namespace, 'updates', { [node]: update }];
  if (__typename === 'CustomEvent') return [namespace, 'custom', event.data_];
  if (__typename === 'TasksEvent') return [namespace, 'tasks', data];
  if (__typename === 'CheckpointsEvent') return [namespace, 'checkpoints', data];
  return [namespace, 'messages', message];
}

/** Takes a moment, as a database does: when a graph throws, LangGraph drops what has not been read by then. */
class SlowSaver extends MemorySaver {
  override async put(...args: Parameters<MemorySaver['put']>) {
    await nextTurn();
    return super.put(...args);
  }

  override async putWrites(...args: Parameters<MemorySaver['putWrites']>) {
    await nextTurn();
    return super.putWrites(...args);
  }
}

type Streamed = [namespace: string[], mode: string, payload: any];

/** What LangGraph itself streams, with every mode, of the graph and all below it, until it ends or throws. */
async function streamInProcess(
  graph: unknown,
  input: unknown,
  options: Record<string, unknown> = {},
): Promise<Streamed[]> {
  const streamed: Streamed[] = [];
  try {
    const chunks = await (graph as CompiledGraph).stream(input, {
      configurable: { thread_id: randomId(), __pregel_checkpointer: new SlowSaver() },
      streamMode: ['values', 'updates', 'messages', 'custom', 'tasks', 'checkpoints'],
      subgraphs: true,
      ...options,
    });
    for await (const chunk of chunks as AsyncIterable<Streamed>) {
      // The run's status and its InterruptEvent tell that it waits.
      if (!('__interrupt__' in chunk[2])) streamed.push(asShown(chunk));
    }
  } catch {
    // As the run ends, so does the stream.
  }
  return streamed;
}

function asShown([namespace, mode, payload]: Streamed): Streamed {
  if (mode === 'messages') return [namespace, mode, messageOf(payload[0])];
  const { config: _, parentConfig: __, ...data } = payload;
  if (mode === 'tasks') delete data.metadata;
  return [namespace, mode, toPlain(data)];
}

/** A message as the API shows it, as far as the tests' query asks. */
function messageOf(message: any) {
  if (!isMessage(message)) throw new Error('No message.');
  const { id, name = null, text, ...fields } = message as any;
  const toolCalls = (fields.tool_calls ?? []).map((call: any) => ({
    toolCallId: call.id,
    name: call.name,
    args: call.args,
  }));
  const type = message.getType().toUpperCase();
  return { messageId: id, type, name, text, toolCallId: fields.tool_call_id ?? null, toolCalls };
}

/** Of a task's start: the ids of its run, which LangGraph does not have in process. */
function withoutMetadata(event: any): any {
  if (event.__typename !== 'TasksEvent') return event;
  const { metadata: _, ...data } = event.data;
  return { ...event, data };
}

describe('the events of a run with every mode at once', () => {
  const GRAPHS = {
    parallel: graphs.parallel,
    fanOut: graphs.fanOut,
    custom: graphs.custom,
    nested: graphs.nested,
    deep: graphs.deep,
    caller: graphs.caller,
    remembering: graphs.remembering,
    toolCalls: graphs.toolCalls,
  };
  const input = { log: ['in'], jobs: ['a', 'b', 'c'], messages: [] };

  async function expectSame(
    events: any[],
    streaming: Promise<Streamed[]>,
    { subgraphs }: { subgraphs: boolean },
  ): Promise<void> {
    const told = events.filter(({ __typename }) => !/^(Run|Interrupt)/.test(__typename));
    const streamed = await streaming;
    const expected = streamed.filter(([namespace]) => subgraphs || namespace.length === 0);
    expect(withoutIds(told.map(withoutMetadata).map(shown))).toEqual(withoutIds(expected));
  }

  describe.each(Object.entries(GRAPHS))('of graph %s', (assistantId, graph) => {
    it.each([
      ['of the graph itself without streamSubgraphs', false],
      ['of its subgraphs too with streamSubgraphs', true],
    ])('are what LangGraph streams in process, in its order: %s', async (_what, subgraphs) => {
      const events = await record({
        assistantId,
        input,
        streamSubgraphs: subgraphs,
        onCompletion: 'KEEP',
      });
      expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
      await expectSame(events, streamInProcess(graph, input), { subgraphs });
    });
  });

  it.each([
    ['that asks a person', 'ask', graphs.ask, {}, 'INTERRUPTED'],
    ['whose subgraph asks a person', 'nestedAsk', graphs.nestedAsk, {}, 'INTERRUPTED'],
    [
      'that stops before a node',
      'parallel',
      graphs.parallel,
      { interruptBefore: ['join'] },
      'INTERRUPTED',
    ],
    ['that stops after a node', 'deep', graphs.deep, { interruptAfter: ['top'] }, 'INTERRUPTED'],
    ['that fails', 'fail', graphs.fail, { input: { fail: true } }, 'ERROR'],
    ['that fails beside a node that ends', 'halfFail', graphs.halfFail, {}, 'ERROR'],
    ['that runs out of steps', 'steps', graphs.steps, { config: { recursionLimit: 3 } }, 'ERROR'],
  ] as const)(
    'are what LangGraph streams in process, also of a run %s',
    async (_what, assistantId, graph, options, status) => {
      const { config, ...others } = { input, config: undefined, ...options };
      for (const durability of ['SYNC', 'ASYNC', 'EXIT']) {
        const events = await record({
          assistantId,
          ...others,
          ...(config && { config }),
          streamSubgraphs: true,
          onCompletion: 'KEEP',
          durability,
        });
        expect(events.at(-1)).toMatchObject({ status });
        const { input: given, ...stops } = others;
        const streaming = streamInProcess(graph, given, {
          ...config,
          ...stops,
          durability: durability.toLowerCase(),
        });
        await expectSame(events, streaming, { subgraphs: true });
      }
    },
  );
});

describe('the events of a run that fails', () => {
  it.each([
    ['SYNC', 20],
    ['ASYNC', 20],
    ['EXIT', 20],
    ['ASYNC', 1500],
  ])(
    'hold all that was told before, also what came last and fast: %s, %i',
    async (durability, count) => {
      const input = { count };
      const events = await record({
        assistantId: 'burst',
        input,
        durability,
        onCompletion: 'KEEP',
      });
      expect(ofMode(events, 'CUSTOM').map((event) => event.data_.n)).toEqual(
        Array.from({ length: count }, (_, n) => n + 1),
      );
      expect(events.at(-1)).toMatchObject({ status: 'ERROR' });
    },
  );
});

describe('the namespace of an event', () => {
  it('names the subgraph, outermost first, by its node and the task that runs it', async () => {
    const events = await record({ assistantId: 'deep', streamSubgraphs: true });
    const started = ofMode(events, 'TASKS').filter(({ data }) => 'input' in data);
    const task = (name: string) =>
      `${name}:${started.find(({ data }) => data.name === name).data.id}`;
    const [middle, deepest] = [[task('middle')], [task('middle'), task('deepest')]];

    const namespaces = ofMode(events, 'UPDATES').map(({ node, namespace }) => [node, namespace]);
    expect(namespaces).toEqual([
      ['top', []],
      ['note', middle],
      ['talk', deepest],
      ['left', deepest],
      ['right', deepest],
      ['deepest', middle],
      ['middle', []],
    ]);
    expect(ofMode(events, 'CUSTOM').map((event) => [event.data_, event.namespace])).toEqual([
      [{ from: 'top' }, []],
      [{ from: 'note' }, middle],
      [{ from: 'talk' }, deepest],
    ]);
    expect(
      ofMode(events, 'MESSAGES').map((event) => [event.message.text, event.namespace]),
    ).toEqual([
      ['Sh', []],
      ['allow', []],
      ['De', deepest],
      ['ep', deepest],
    ]);
    expect(started.map(({ data, namespace }) => [data.name, namespace])).toEqual([
      ['top', []],
      ['middle', []],
      ['note', middle],
      ['deepest', middle],
      ['talk', deepest],
      ['left', deepest],
      ['right', deepest],
    ]);
  });

  it('is always empty without streamSubgraphs: there is no event of a subgraph', async () => {
    const events = await record({ assistantId: 'deep' });
    expect(events.filter(({ namespace }) => namespace.length > 0)).toEqual([]);
    expect(nodesOf(events)).toEqual(['top', 'middle']);
    expect(ofMode(events, 'CUSTOM').map((event) => event.data_)).toEqual([{ from: 'top' }]);
    expect(ofMode(events, 'MESSAGES').map(({ message }) => message.text)).toEqual(['Sh', 'allow']);
  });
});

describe('TASKS', () => {
  it('tell of each task when it starts, with its input, and when it ends, with its result', async () => {
    const input = { log: ['in'], jobs: ['a', 'b'] };
    const tasks = ofMode(await record({ assistantId: 'fanOut', input }), 'TASKS');
    const [starts, ends] = [
      tasks.filter(({ data }) => 'input' in data),
      tasks.filter(({ data }) => 'result' in data),
    ];
    expect(starts.length + ends.length).toBe(tasks.length);
    expect(starts.map(({ data }) => data)).toMatchObject([
      { name: 'plan', input: { log: ['in'] }, interrupts: [] },
      { name: 'work', input: { job: 'a' } },
      { name: 'work', input: { job: 'b' } },
      { name: 'done', input: { log: ['in', 'plan', 'work a', 'work b'] } },
    ]);
    const idsOf = (events: any[]): string[] => events.map(({ data }) => data.id);
    expect(new Set(idsOf(starts)).size).toBe(4);
    expect(idsOf(ends).toSorted()).toEqual(idsOf(starts).toSorted());
    const resultOf = new Map(ends.map(({ data }) => [data.id, data.result]));
    expect(idsOf(starts).map((id) => resultOf.get(id))).toEqual([
      { log: ['plan'] },
      { log: ['work a'] },
      { log: ['work b'] },
      { log: ['done'] },
    ]);
  });

  it('tell with the end of a task what it asks', async () => {
    const tasks = ofMode(await record({ assistantId: 'ask' }), 'TASKS');
    expect(tasks.at(-1)).toMatchObject({
      data: { name: 'ask', interrupts: [{ value: { question: 'Go on?' } }] },
    });
  });
});

describe('CHECKPOINTS', () => {
  const HISTORY = `query ($id: ID!, $namespace: String!) { thread(id: $id) {
    history(first: 100, filter: { namespace: $namespace }) { nodes { checkpointId values next step } }
  } }`;

  const shownBy = ({ checkpointId, data }: any) => ({
    checkpointId,
    values: data.values,
    next: data.next,
    step: data.metadata.step,
  });

  it.each(['SYNC', 'ASYNC'])(
    'are the history of the thread and of its subgraphs, oldest first, under %s',
    async (durability) => {
      const threadId = await createThread();
      const events = await record({
        threadId,
        assistantId: 'deep',
        streamSubgraphs: true,
        durability,
      });
      const checkpoints = ofMode(events, 'CHECKPOINTS');
      const namespaces = new Set(checkpoints.map(({ namespace }) => namespace.join('|')));
      expect(namespaces.size).toBe(3);
      for (const namespace of namespaces) {
        const { thread } = await server.gql(HISTORY, { id: threadId, namespace });
        const own = checkpoints.filter((event) => event.namespace.join('|') === namespace);
        expect(own.map(shownBy).toReversed()).toEqual(thread.history.nodes);
        for (const { checkpoint, checkpointId, data } of own) {
          expect(checkpoint).toEqual({ checkpointId, namespace, values: data.values });
        }
      }
    },
  );

  it.each([
    ['durability EXIT', { durability: 'EXIT', onCompletion: 'KEEP' }],
    ['a thread that is gone', { onCompletion: 'DELETE' }],
  ])('show their values also where they are not kept: %s', async (_what, options) => {
    const events = ofMode(await record({ assistantId: 'parallel', ...options }), 'CHECKPOINTS');
    expect(events.map(({ data }) => data.values)).toEqual([
      { log: [] },
      { log: [] },
      { log: ['left', 'right'] },
      { log: ['left', 'right', 'join'] },
    ]);
    expect(events.map(({ data }) => data.next.toSorted())).toEqual([
      ['__start__'],
      ['left', 'right'],
      ['join'],
      [],
    ]);
    expect(events.map(({ checkpoint }) => checkpoint)).toEqual(Array(4).fill(null));
  });

  it('have ids of their own in each run, in the order of time, under every durability', async () => {
    const threadId = await createThread();
    const ids: string[] = [];
    for (const durability of ['EXIT', 'EXIT', 'SYNC', 'EXIT', 'ASYNC']) {
      const events = await record({ threadId, assistantId: 'parallel', durability });
      ids.push(...ofMode(events, 'CHECKPOINTS').map(({ checkpointId }) => checkpointId));
    }
    expect(ids).toHaveLength(20);
    for (const id of ids) expect(id).toMatch(/^[\da-f-]{36}$/);
    expect(new Set(ids).size).toBe(20);
    expect(ids).toEqual(ids.toSorted());
  });
});

describe('UPDATES of nodes that run at once', () => {
  it('come as each ends: that of the quick one while the other still runs', async () => {
    const gate = closedGate();
    const runId = await start({ assistantId: 'race', input: { file: gate.file } });
    const updates: unknown[] = [];
    for await (const { runEvents } of server.subscribe(FOLLOW, { runId, modes: ['UPDATES'] })) {
      if (runEvents.__typename !== 'UpdatesEvent') continue;
      updates.push({ [runEvents.node]: runEvents.update });
      if (runEvents.node === 'quick') await gate.open();
    }
    expect(updates).toEqual([
      { quick: { log: ['quick'] } },
      { held: { log: ['held'] } },
      { join: { log: ['join'] } },
    ]);
  });

  it('are one for each task of a node that runs several times', async () => {
    const input = { jobs: ['a', 'b', 'c'] };
    const events = await record({ assistantId: 'fanOut', input, streamModes: ['UPDATES'] });
    expect(nodesOf(events)).toEqual(['plan', 'work', 'work', 'work', 'done']);
    const work = ofMode(events, 'UPDATES').filter(({ node }) => node === 'work');
    const logged: string[] = work.map(({ update }) => update.log[0]);
    expect(logged.toSorted()).toEqual(['work a', 'work b', 'work c']);
  });

  it('tell what the finished one wrote before the other failed', async () => {
    const events = await record({ assistantId: 'halfFail', streamModes: ['UPDATES'] });
    expect(nodesOf(events)).toEqual(['good']);
    expect(events.at(-1)).toMatchObject({ status: 'ERROR' });
  });
});

describe('the modes that a reader asks for', () => {
  /** Of a run that records everything, and waits in its middle. */
  async function waitingRun() {
    const gate = closedGate();
    const threadId = await createThread();
    const runId = await start({
      threadId,
      assistantId: 'race',
      input: { file: gate.file },
      streamModes: ALL_MODES,
    });
    return { gate, threadId, runId };
  }

  const COMBINATIONS = [
    ...ALL_MODES.map((mode) => [mode]),
    ['VALUES', 'CHECKPOINTS'],
    ['UPDATES', 'TASKS', 'CUSTOM'],
    ['CUSTOM', 'CUSTOM'],
    [],
  ];

  it.each(TRANSPORTS)('are what it gets over %s, live and replayed alike', async (transport) => {
    const { gate, runId } = await waitingRun();
    const live = COMBINATIONS.map((modes) => follow(runId, modes, transport));
    await until(() => server.app.tail.readers === COMBINATIONS.length);
    await gate.open();
    const complete = await follow(runId);
    for (const mode of ['VALUES', 'UPDATES', 'TASKS', 'CHECKPOINTS']) {
      expect(ofMode(complete, mode)).not.toEqual([]);
    }
    for (const [n, modes] of COMBINATIONS.entries()) {
      const types = ['RunStartedEvent', 'RunFinishedEvent', ...modes.map(typeOf)];
      const wanted = complete.filter(({ __typename }) => types.includes(__typename));
      expect(await live[n]).toEqual(wanted);
      expect(await follow(runId, modes, transport)).toEqual(wanted);
      const { run } = await server.gql(LIST, { id: runId, modes });
      expect(run.events.nodes).toEqual(wanted);
    }
  });

  it('hold for all runs of a thread too, live and replayed alike', async () => {
    const { gate, threadId, runId } = await waitingRun();
    const modes = ['CHECKPOINTS', 'UPDATES'];
    const next = await start({ threadId, assistantId: 'custom', streamModes: ALL_MODES });
    const complete = [follow(runId), follow(next)];
    const [first] = (await server.gql(LIST, { id: runId, modes: [] })).run.events.nodes;
    async function followThread(variables: Record<string, unknown>) {
      const events: any[] = [];
      const subscribed = server.subscribe(FOLLOW_THREAD, { threadId, modes, ...variables });
      for await (const { threadEvents } of subscribed) {
        events.push(threadEvents);
        const ended = events.filter(({ __typename }) => __typename === 'RunFinishedEvent');
        if (ended.length === 2) break;
      }
      return events;
    }
    const readers = server.app.tail.readers;
    const live = followThread({ after: first.id });
    await until(() => server.app.tail.readers > readers);
    await gate.open();
    const types = ['RunStartedEvent', 'RunFinishedEvent', ...modes.map(typeOf)];
    const wanted = (await Promise.all(complete))
      .flat()
      .filter(({ __typename }) => types.includes(__typename))
      .slice(1);
    expect(await live).toEqual(wanted);
    expect(await followThread({ after: first.id })).toEqual(wanted);
  });

  it('give nothing of what the run does not record', async () => {
    const runId = await start({ assistantId: 'custom', streamModes: ['CUSTOM'] });
    const types = (await follow(runId, ['UPDATES', 'VALUES'])).map(({ __typename }) => __typename);
    expect(types).toEqual(['RunStartedEvent', 'RunFinishedEvent']);
  });

  it('may be none at all: the run records its start and its end', async () => {
    const types = (await record({ assistantId: 'custom', streamModes: [] })).map(
      ({ __typename }) => __typename,
    );
    expect(types).toEqual(['RunStartedEvent', 'RunFinishedEvent']);
  });
});

describe('the chunks of a message with tool calls', () => {
  const CHUNKS = `query ($id: ID!) {
    run(id: $id) { events(first: 100) { nodes {
      ... on MessagesEvent { message { toolCallChunks { index toolCallId name args } } }
    } } }
  }`;

  it('share its id, and tell each call by its name, its id and, once they parse, its arguments', async () => {
    const runId = await start({ assistantId: 'toolCalls', streamModes: ['MESSAGES', 'UPDATES'] });
    const events = await follow(runId);
    const messages = ofMode(events, 'MESSAGES');
    const chunks = messages.filter(({ isChunk }) => isChunk).map(({ message }) => message);
    const [{ update }] = ofMode(events, 'UPDATES');
    const [{ id, tool_calls: calls }] = update.messages;

    expect(chunks.map(({ messageId }) => messageId)).toEqual(Array(5).fill(id));
    expect(chunks.map(({ type, text }) => [type, text])).toEqual([
      ['AI', 'Let me look.'],
      ...Array.from({ length: 4 }, () => ['AI', '']),
    ]);
    expect(chunks.map(({ toolCalls }) => toolCalls)).toEqual([
      [],
      [{ toolCallId: 'call-0', name: 'weather', args: {} }],
      [],
      [],
      [{ toolCallId: 'call-1', name: 'weather', args: { city: 'Rome' } }],
    ]);
    const { run } = await server.gql(CHUNKS, { id: runId });
    const pieces = run.events.nodes.flatMap(({ message }: any) => message?.toolCallChunks ?? []);
    expect(pieces).toEqual([
      { index: 0, toolCallId: 'call-0', name: 'weather', args: '' },
      { index: 0, toolCallId: null, name: null, args: '{"city":' },
      { index: 0, toolCallId: null, name: null, args: '"Paris"}' },
      { index: 1, toolCallId: 'call-1', name: 'weather', args: '{"city":"Rome"}' },
    ]);
    expect(calls).toMatchObject([
      { id: 'call-0', name: 'weather', args: { city: 'Paris' } },
      { id: 'call-1', name: 'weather', args: { city: 'Rome' } },
    ]);
    expect(
      messages.slice(5).map(({ isChunk, message }) => ({ isChunk, ...message })),
    ).toMatchObject([
      { isChunk: false, type: 'TOOL', toolCallId: 'call-0', text: 'Rain in Paris.' },
      { isChunk: false, type: 'TOOL', toolCallId: 'call-1', text: 'Rain in Rome.' },
    ]);
  });
});

describe('tags', () => {
  it('keep from MESSAGES what they say: nostream the chunks, langsmith:hidden everything', async () => {
    const events = ofMode(await record({ assistantId: 'tagged' }), 'MESSAGES');
    const texts = events.map(({ isChunk, message }) => [isChunk ? 'chunk' : 'whole', message.text]);
    expect(texts).toEqual([
      ['chunk', 'aloud '],
      ['chunk', 'speaks'],
      ['whole', 'nostream speaks'],
      ['whole', 'langsmith-nostream speaks'],
    ]);
  });

  it('keep a node tagged langsmith:hidden from UPDATES and TASKS; its state stays', async () => {
    const events = await record({ assistantId: 'tagged', streamSubgraphs: true });
    const visible = ['aloud', 'nostream', 'langsmith-nostream', 'secret'];
    expect(nodesOf(events)).toEqual(visible);
    const tasks = ofMode(events, 'TASKS').map(({ data }) => data.name);
    expect(tasks).toEqual(visible.flatMap((name) => [name, name]));
    expect(ofMode(events, 'VALUES').at(-1).values.log).toEqual([...visible, 'hidden']);
  });

  it('on a run hide its nodes too, and it still waits for a person', async () => {
    const config = { tags: ['langsmith:hidden'] };
    const threadId = await createThread();
    const events = await record({ threadId, assistantId: 'ask', config });
    expect(nodesOf(events)).toEqual([]);
    expect(events.slice(-2)).toMatchObject([
      { __typename: 'InterruptEvent' },
      { __typename: 'RunFinishedEvent', status: 'INTERRUPTED' },
    ]);
  });
});
