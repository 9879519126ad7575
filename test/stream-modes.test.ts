import { describe, expect } from 'vitest';
import { until, type Transport } from './support/app.ts';
import { ofType, type Client, type RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation, valuesOf } from './support/graphql.ts';
import * as graphs from './support/graphs.ts';
import {
  ALL_MODES,
  checkpointsOf,
  chunkOf,
  customOf,
  follow,
  FOLLOW,
  FOLLOW_THREAD,
  LIST,
  nodesOf,
  record,
  start,
  tasksOf,
  typeOf,
  typesOf,
  type Event,
  type Mode,
  type Task,
} from './support/stream-events.ts';
import { streamInProcess, withoutIds, type Streamed } from './support/streamed.ts';

const TRANSPORTS: Transport[] = ['websocket', 'sse'];

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
    events: Event[],
    streaming: Promise<Streamed[]>,
    { subgraphs }: { subgraphs: boolean },
  ): Promise<void> {
    const streamed = await streaming;
    const expected = streamed.filter(([namespace]) => subgraphs || namespace.length === 0);
    const sent = events.map(chunkOf).filter((chunk) => chunk !== undefined);
    expect(withoutIds(sent)).toEqual(withoutIds(expected));
  }

  describe.for(Object.entries(GRAPHS))('of graph %s', ([assistantId, graph]) => {
    it.for<[string, boolean]>([
      ['of the graph itself without streamSubgraphs', false],
      ['of its subgraphs too with streamSubgraphs', true],
    ])(
      'are what LangGraph streams in process, in its order: %s',
      async ([, subgraphs], { client }) => {
        const events = await record(client, {
          assistantId,
          input,
          streamSubgraphs: subgraphs,
          onCompletion: 'KEEP',
        });
        expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
        await expectSame(events, streamInProcess(graph, input), { subgraphs });
      },
    );
  });

  it.for([
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
    async ([, assistantId, graph, options, status], { client }) => {
      const { config, ...others }: Partial<RunInput> = { input, ...options } as Partial<RunInput>;
      for (const durability of ['SYNC', 'ASYNC', 'EXIT'] as const) {
        const events = await record(client, {
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
  it.for([
    ['SYNC', 20],
    ['ASYNC', 20],
    ['EXIT', 20],
    ['ASYNC', 1500],
  ] as const)(
    'hold all that was told before, also what came last and fast: %s, %i',
    async ([durability, count], { client }) => {
      const events = await record(client, {
        assistantId: 'burst',
        input: { count },
        durability,
        onCompletion: 'KEEP',
      });
      expect(customOf(events)).toEqual(Array.from({ length: count }, (_, n) => ({ n: n + 1 })));
      expect(events.at(-1)).toMatchObject({ status: 'ERROR' });
    },
  );
});

describe('the namespace of an event', () => {
  it('names the subgraph, outermost first, by its node and the task that runs it', async ({
    client,
  }) => {
    const events = await record(client, { assistantId: 'deep', streamSubgraphs: true });
    const started = ofType(events, 'TasksEvent')
      .map(({ task, namespace }) => ({ task: task as Task, namespace }))
      .filter(({ task }) => 'input' in task);
    const task = (name: string) =>
      `${name}:${started.find((each) => each.task.name === name)?.task.id}`;
    const [middle, deepest] = [[task('middle')], [task('middle'), task('deepest')]];

    const namespaces = ofType(events, 'UpdatesEvent').map(({ node, namespace }) => [
      node,
      namespace,
    ]);
    expect(namespaces).toEqual([
      ['top', []],
      ['note', middle],
      ['talk', deepest],
      ['left', deepest],
      ['right', deepest],
      ['deepest', middle],
      ['middle', []],
    ]);
    expect(ofType(events, 'CustomEvent').map((event) => [event.custom, event.namespace])).toEqual([
      [{ from: 'top' }, []],
      [{ from: 'note' }, middle],
      [{ from: 'talk' }, deepest],
    ]);
    expect(
      ofType(events, 'MessagesEvent').map((event) => [event.message.text, event.namespace]),
    ).toEqual([
      ['Sh', []],
      ['allow', []],
      ['De', deepest],
      ['ep', deepest],
    ]);
    expect(started.map((each) => [each.task.name, each.namespace])).toEqual([
      ['top', []],
      ['middle', []],
      ['note', middle],
      ['deepest', middle],
      ['talk', deepest],
      ['left', deepest],
      ['right', deepest],
    ]);
  });

  it('is always empty without streamSubgraphs: there is no event of a subgraph', async ({
    client,
  }) => {
    const events = await record(client, { assistantId: 'deep' });
    expect(events.filter(({ namespace }) => namespace.length > 0)).toEqual([]);
    expect(nodesOf(events)).toEqual(['top', 'middle']);
    expect(customOf(events)).toEqual([{ from: 'top' }]);
    expect(ofType(events, 'MessagesEvent').map(({ message }) => message.text)).toEqual([
      'Sh',
      'allow',
    ]);
  });
});

describe('TASKS', () => {
  it('tell of each task when it starts, with its input, and when it ends, with its result', async ({
    client,
  }) => {
    const input = { log: ['in'], jobs: ['a', 'b'] };
    const tasks = tasksOf(await record(client, { assistantId: 'fanOut', input }));
    const starts = tasks.filter((task) => 'input' in task);
    const ends = tasks.filter((task) => 'result' in task);
    expect(starts.length + ends.length).toBe(tasks.length);
    expect(starts).toMatchObject([
      { name: 'plan', input: { log: ['in'] }, interrupts: [] },
      { name: 'work', input: { job: 'a' } },
      { name: 'work', input: { job: 'b' } },
      { name: 'done', input: { log: ['in', 'plan', 'work a', 'work b'] } },
    ]);
    const ids = starts.map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    expect(ends.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    const resultOf = new Map(ends.map(({ id, result }) => [id, result]));
    expect(ids.map((id) => resultOf.get(id))).toEqual([
      { log: ['plan'] },
      { log: ['work a'] },
      { log: ['work b'] },
      { log: ['done'] },
    ]);
  });

  it('tell with the end of a task what it asks', async ({ client }) => {
    const tasks = tasksOf(await record(client, { assistantId: 'ask' }));
    expect(tasks.at(-1)).toMatchObject({
      name: 'ask',
      interrupts: [{ value: { question: 'Go on?' } }],
    });
  });
});

describe('CHECKPOINTS', () => {
  const HISTORY = operation(`query ($id: ID!, $namespace: String!) { thread(id: $id) {
    history(first: 100, filter: { namespace: $namespace }) { nodes { checkpointId values next step } }
  } }`);

  it.for(['SYNC', 'ASYNC'] as const)(
    'are the history of the thread and of its subgraphs, oldest first, under %s',
    async (durability, { client }) => {
      const threadId = await client.createThread();
      const events = await record(client, {
        threadId,
        assistantId: 'deep',
        streamSubgraphs: true,
        durability,
      });
      const checkpoints = checkpointsOf(events);
      const namespaces = new Set(checkpoints.map(({ namespace }) => namespace.join('|')));
      expect(namespaces.size).toBe(3);
      for (const namespace of namespaces) {
        const { thread } = await client.gql(HISTORY, { id: threadId, namespace });
        const own = checkpoints.filter((event) => event.namespace.join('|') === namespace);
        const states = own.map(({ checkpointId, shown: { values, next, metadata } }) => {
          return { checkpointId, values, next, step: metadata.step };
        });
        expect(states.toReversed()).toEqual(thread?.history.nodes);
        for (const { checkpoint, checkpointId, shown } of own) {
          expect(checkpoint).toEqual({ checkpointId, namespace, values: shown.values });
        }
      }
    },
  );

  it.for<[string, Partial<RunInput>]>([
    ['durability EXIT', { durability: 'EXIT', onCompletion: 'KEEP' }],
    ['a thread that is gone', { onCompletion: 'DELETE' }],
  ])('show their values also where they are not kept: %s', async ([, options], { client }) => {
    const events = checkpointsOf(await record(client, { assistantId: 'parallel', ...options }));
    expect(events.map(({ shown }) => shown.values)).toEqual([
      { log: [] },
      { log: [] },
      { log: ['left', 'right'] },
      { log: ['left', 'right', 'join'] },
    ]);
    expect(events.map(({ shown }) => shown.next.toSorted())).toEqual([
      ['__start__'],
      ['left', 'right'],
      ['join'],
      [],
    ]);
    expect(events.map(({ checkpoint }) => checkpoint)).toEqual(Array(4).fill(null));
  });

  it('have ids of their own in each run, in the order of time, under every durability', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const ids: string[] = [];
    for (const durability of ['EXIT', 'EXIT', 'SYNC', 'EXIT', 'ASYNC'] as const) {
      const events = await record(client, { threadId, assistantId: 'parallel', durability });
      ids.push(...checkpointsOf(events).map(({ checkpointId }) => checkpointId));
    }
    expect(ids).toHaveLength(20);
    for (const id of ids) expect(id).toMatch(/^[\da-f-]{36}$/);
    expect(new Set(ids).size).toBe(20);
    expect(ids).toEqual(ids.toSorted());
  });
});

describe('UPDATES of nodes that run at once', () => {
  it('come as each ends: that of the quick one while the other still runs', async ({ client }) => {
    const gate = createGate();
    const runId = await start(client, { assistantId: 'race', input: { file: gate.file } });
    const updates: unknown[] = [];
    for await (const { runEvents } of client.subscribe(FOLLOW, { runId, modes: ['UPDATES'] })) {
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

  it('are one for each task of a node that runs several times', async ({ client }) => {
    const input = { jobs: ['a', 'b', 'c'] };
    const events = await record(client, { assistantId: 'fanOut', input, streamModes: ['UPDATES'] });
    expect(nodesOf(events)).toEqual(['plan', 'work', 'work', 'work', 'done']);
    const work = ofType(events, 'UpdatesEvent').filter(({ node }) => node === 'work');
    const logged = work.map(({ update }) => valuesOf(update).log[0] ?? '');
    expect(logged.toSorted()).toEqual(['work a', 'work b', 'work c']);
  });

  it('tell what the finished one wrote before the other failed', async ({ client }) => {
    const events = await record(client, { assistantId: 'halfFail', streamModes: ['UPDATES'] });
    expect(nodesOf(events)).toEqual(['good']);
    expect(events.at(-1)).toMatchObject({ status: 'ERROR' });
  });
});

describe('the modes that a reader asks for', () => {
  /** A run with every mode. It waits in its middle. */
  async function waitingRun(client: Client) {
    const gate = createGate();
    const threadId = await client.createThread();
    const runId = await start(client, {
      threadId,
      assistantId: 'race',
      input: { file: gate.file },
      streamModes: ALL_MODES,
    });
    return { gate, threadId, runId };
  }

  const COMBINATIONS: Mode[][] = [
    ...ALL_MODES.map((mode) => [mode]),
    ['VALUES', 'CHECKPOINTS'],
    ['UPDATES', 'TASKS', 'CUSTOM'],
    ['CUSTOM', 'CUSTOM'],
    [],
  ];

  /** The events of these modes, with the start and the end of the run. */
  function eventsOf(events: Event[], modes: Mode[]): Event[] {
    const types = ['RunStartedEvent', 'RunFinishedEvent', ...modes.map(typeOf)];
    return events.filter(({ __typename }) => types.includes(__typename));
  }

  it.for(TRANSPORTS)(
    'are what it gets over %s, live and replayed alike',
    async (transport, { client, server }) => {
      const { gate, runId } = await waitingRun(client);
      const live = COMBINATIONS.map((modes) => follow(client, runId, { modes, transport }));
      await until(() => server.app.tail.readers === COMBINATIONS.length);
      await gate.open();
      const complete = await follow(client, runId);
      for (const mode of ['VALUES', 'UPDATES', 'TASKS', 'CHECKPOINTS'] as const) {
        expect(typesOf(complete)).toContain(typeOf(mode));
      }
      for (const [n, modes] of COMBINATIONS.entries()) {
        const wanted = eventsOf(complete, modes);
        expect(await live[n]).toEqual(wanted);
        expect(await follow(client, runId, { modes, transport })).toEqual(wanted);
        const { run } = await client.gql(LIST, { id: runId, modes });
        expect(run?.events.nodes).toEqual(wanted);
      }
    },
  );

  it('hold for all runs of a thread too, live and replayed alike', async ({ client, server }) => {
    const { gate, threadId, runId } = await waitingRun(client);
    const modes: Mode[] = ['CHECKPOINTS', 'UPDATES'];
    const next = await start(client, {
      threadId,
      assistantId: 'custom',
      streamModes: ALL_MODES,
    });
    const complete = [follow(client, runId), follow(client, next)];
    const first = await until(async () => {
      const { run } = await client.gql(LIST, { id: runId, modes: [] });
      return run?.events.nodes[0];
    });
    async function followThread() {
      const events: Event[] = [];
      const variables = { threadId, modes, after: first.id };
      for await (const { threadEvents } of client.subscribe(FOLLOW_THREAD, variables)) {
        events.push(threadEvents);
        if (ofType(events, 'RunFinishedEvent').length === 2) break;
      }
      return events;
    }
    await until(() => server.app.tail.readers === complete.length);
    const live = followThread();
    await until(() => server.app.tail.readers > complete.length);
    await gate.open();
    const wanted = eventsOf((await Promise.all(complete)).flat(), modes).slice(1);
    expect(await live).toEqual(wanted);
    expect(await followThread()).toEqual(wanted);
  });

  it('give nothing of what the run does not record', async ({ client }) => {
    const runId = await start(client, { assistantId: 'custom', streamModes: ['CUSTOM'] });
    const events = await follow(client, runId, { modes: ['UPDATES', 'VALUES'] });
    expect(typesOf(events)).toEqual(['RunStartedEvent', 'RunFinishedEvent']);
  });

  it('may be none at all: the run records its start and its end', async ({ client }) => {
    const events = await record(client, { assistantId: 'custom', streamModes: [] });
    expect(typesOf(events)).toEqual(['RunStartedEvent', 'RunFinishedEvent']);
  });
});

describe('the chunks of a message with tool calls', () => {
  const CHUNKS = operation(`query ($id: ID!) {
    run(id: $id) { events(first: 100) { nodes {
      ... on MessagesEvent { message { toolCallChunks { index toolCallId name args } } }
    } } }
  }`);

  it('share its id, and tell each call by its name, its id and, once they parse, its arguments', async ({
    client,
  }) => {
    const runId = await start(client, {
      assistantId: 'toolCalls',
      streamModes: ['MESSAGES', 'UPDATES'],
    });
    const events = await follow(client, runId);
    const messages = ofType(events, 'MessagesEvent');
    const chunks = messages.filter(({ isChunk }) => isChunk).map(({ message }) => message);
    const [update] = ofType(events, 'UpdatesEvent');
    const [message] = valuesOf(update?.update).messages;

    expect(chunks.map(({ messageId }) => messageId)).toEqual(Array(5).fill(message?.id));
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
    const { run } = await client.gql(CHUNKS, { id: runId });
    const pieces = run?.events.nodes.flatMap((event) =>
      'message' in event ? (event.message.toolCallChunks ?? []) : [],
    );
    expect(pieces).toEqual([
      { index: 0, toolCallId: 'call-0', name: 'weather', args: '' },
      { index: 0, toolCallId: null, name: null, args: '{"city":' },
      { index: 0, toolCallId: null, name: null, args: '"Paris"}' },
      { index: 1, toolCallId: 'call-1', name: 'weather', args: '{"city":"Rome"}' },
    ]);
    expect(message?.['tool_calls']).toMatchObject([
      { id: 'call-0', name: 'weather', args: { city: 'Paris' } },
      { id: 'call-1', name: 'weather', args: { city: 'Rome' } },
    ]);
    expect(
      messages.slice(5).map(({ isChunk, message: whole }) => ({ isChunk, ...whole })),
    ).toMatchObject([
      { isChunk: false, type: 'TOOL', toolCallId: 'call-0', text: 'Rain in Paris.' },
      { isChunk: false, type: 'TOOL', toolCallId: 'call-1', text: 'Rain in Rome.' },
    ]);
  });
});

describe('tags', () => {
  it('keep from MESSAGES what they say: nostream the chunks, langsmith:hidden everything', async ({
    client,
  }) => {
    const events = ofType(await record(client, { assistantId: 'tagged' }), 'MessagesEvent');
    const texts = events.map(({ isChunk, message }) => [isChunk ? 'chunk' : 'whole', message.text]);
    expect(texts).toEqual([
      ['chunk', 'aloud '],
      ['chunk', 'speaks'],
      ['whole', 'nostream speaks'],
      ['whole', 'langsmith-nostream speaks'],
    ]);
  });

  it('keep a node tagged langsmith:hidden from UPDATES and TASKS; its state stays', async ({
    client,
  }) => {
    const events = await record(client, { assistantId: 'tagged', streamSubgraphs: true });
    const visible = ['aloud', 'nostream', 'langsmith-nostream', 'secret'];
    expect(nodesOf(events)).toEqual(visible);
    expect(tasksOf(events).map(({ name }) => name)).toEqual(
      visible.flatMap((name) => [name, name]),
    );
    const last = ofType(events, 'ValuesEvent').at(-1);
    expect(valuesOf(last?.values).log).toEqual([...visible, 'hidden']);
  });

  it('on a run hide its nodes too, and it still waits for a person', async ({ client }) => {
    const config = { tags: ['langsmith:hidden'] };
    const threadId = await client.createThread();
    const events = await record(client, { threadId, assistantId: 'ask', config });
    expect(nodesOf(events)).toEqual([]);
    expect(events.slice(-2)).toMatchObject([
      { __typename: 'InterruptEvent' },
      { __typename: 'RunFinishedEvent', status: 'INTERRUPTED' },
    ]);
  });
});
