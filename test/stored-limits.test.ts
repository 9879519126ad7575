import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  randomId,
  startTestApp,
  type TestApp,
} from './support/app.ts';
import { createTestDatabase } from './support/databases.ts';

const STATE_BYTES = 100_000;
const EVENT_BYTES = 30_000;
const RUN_EVENT_BYTES = 400_000;

const SETTINGS = {
  graphsFile: path.join(import.meta.dirname, 'support/limit-graphs.json'),
  stateLimitBytes: STATE_BYTES,
  eventLimitBytes: EVENT_BYTES,
  runEventLimitBytes: RUN_EVENT_BYTES,
};

let server: TestApp;
beforeAll(async () => {
  server = await createTestApp(SETTINGS);
});
afterAll(() => server.stop());

const UPDATE_STATE = `mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { checkpointId }
}`;
const RUN = `mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) { id threadId status attempt output error { name message } }
}`;
const THREAD = `query ($id: ID!) {
  thread(id: $id) { status values runs { nodes { id } } history { nodes { checkpointId } } }
}`;

/** A run of the graph `growing`. */
async function grow(input: object, more: object = {}) {
  const { createRun: run } = await server.gql(RUN, {
    input: { assistantId: 'growing', input, onCompletion: 'KEEP', ...more },
  });
  return run;
}

async function readThread(id: string) {
  return (await server.gql(THREAD, { id })).thread;
}

const tooLarge = (what: string) => ({
  name: 'StateLimitError',
  message: expect.stringMatching(
    new RegExp(
      `^${what} \\d+ bytes.*; at most ${STATE_BYTES} are allowed\\. STATE_LIMIT_BYTES sets the limit\\.$`,
    ),
  ),
});
const refusal = (argument: string, variable = 'STATE_LIMIT_BYTES') => ({
  message: expect.stringContaining(`${variable} sets the limit.`),
  extensions: { code: 'BAD_USER_INPUT', argument },
});

describe('STATE_LIMIT_BYTES', () => {
  it.each(['SYNC', 'ASYNC', 'EXIT'])(
    'ends a run that makes a larger state at its first attempt, and the thread goes on (%s)',
    async (durability) => {
      const { threadId } = await grow({ chars: 10_000 });
      const failed = await grow({ chars: STATE_BYTES }, { threadId, durability });
      expect(failed).toMatchObject({ status: 'ERROR', attempt: 1 });
      expect(failed.error).toEqual(tooLarge('A value of the state has'));
      const { values, status } = await readThread(threadId);
      expect(status).toBe('ERROR');
      expect(values.list).toEqual(['x'.repeat(10_000)]);

      expect(await grow({ chars: 5 }, { threadId })).toMatchObject({ status: 'SUCCESS' });
      expect((await readThread(threadId)).values.list).toEqual(['x'.repeat(10_000), 'xxxxx']);
    },
  );

  it('counts all channels, also those that other runs have written', async () => {
    const { threadId } = await grow({ chars: 15_000 });
    expect(await grow({ chars: 15_000 }, { threadId })).toMatchObject({ status: 'SUCCESS' });
    expect(await grow({ chars: 15_000 }, { threadId })).toMatchObject({ status: 'SUCCESS' });
    const failed = await grow({ chars: 15_000 }, { threadId });
    expect(failed).toMatchObject({ status: 'ERROR', error: tooLarge('The state would have') });
    expect((await readThread(threadId)).values.list).toHaveLength(3);
    expect(failed.output.list).toHaveLength(3);
    const edit = { values: { list: [] }, asNode: 'grow' };
    await server.gql(UPDATE_STATE, { id: threadId, input: edit });
    expect((await readThread(threadId)).values.list).toHaveLength(3);
  });

  it('counts what the tasks of one step write together', async () => {
    expect(await grow({ chars: 20_000, tasks: 3 })).toMatchObject({ status: 'SUCCESS' });
    expect(await grow({ chars: 20_000, tasks: 6 })).toMatchObject({
      status: 'ERROR',
      error: tooLarge('(The tasks of a step wrote|The state would have)'),
    });
  });

  it('counts the output of a run without a thread, as JSON', async () => {
    const stateless = { onCompletion: 'DELETE' };
    const small = await grow({ chars: 1, floats: 100 }, stateless);
    expect(small).toMatchObject({ status: 'SUCCESS', output: { list: ['x'] } });
    // Each number has eight bytes in the state, and three times as many digits.
    const large = await grow({ chars: 1, floats: 8000 }, stateless);
    expect(large).toMatchObject({ status: 'ERROR', attempt: 1, output: null });
    expect(large.error).toEqual(tooLarge('The output of the run has'));
    expect(await grow({ chars: 1, floats: 8000 })).toMatchObject({ status: 'SUCCESS' });
  });

  it('refuses a larger input and a larger command, and creates no run', async () => {
    const { createThread: thread } = await server.gql(CREATE_THREAD);
    const large = { list: ['x'.repeat(STATE_BYTES)] };
    const given: [argument: string, input: object][] = [
      ['input.input', { input: large }],
      ['input.command', { command: { update: large } }],
    ];
    for (const [argument, input] of given) {
      const errors = await server.errors(CREATE_RUN, {
        input: { assistantId: 'growing', threadId: thread.id, ...input },
      });
      expect(errors).toMatchObject([refusal(argument)]);
    }
    expect((await readThread(thread.id)).runs.nodes).toEqual([]);
  });

  it('refuses an edit that makes a larger state, and the state stays', async () => {
    const { threadId } = await grow({ chars: 20_000 });
    const before = await readThread(threadId);
    const edit = (chars: number) =>
      server.request(UPDATE_STATE, {
        id: threadId,
        input: { values: { list: ['z'.repeat(chars)] }, asNode: 'grow' },
      });
    // Each is smaller than the limit.
    expect((await edit(70_000)).errors).toMatchObject([refusal('input.values')]);
    expect(await readThread(threadId)).toEqual(before);
    expect((await edit(50_000)).errors).toBeUndefined();
  });

  it('refuses supersteps that make a larger state, and creates no thread', async () => {
    const id = randomId();
    const step = (chars: number) => ({
      updates: [{ asNode: 'grow', values: { list: ['x'.repeat(chars)] } }],
    });
    const supersteps = [step(40_000), step(40_000), step(40_000)];
    const errors = await server.errors(CREATE_THREAD, {
      input: { id, graphId: 'growing', supersteps },
    });
    expect(errors).toMatchObject([refusal('input.supersteps[2].updates[0]')]);
    expect(await readThread(id)).toBeNull();
  });
});

describe('EVENT_LIMIT_BYTES', () => {
  const EVENTS = `query ($id: ID!) { run(id: $id) { status events(first: 100) { nodes {
    __typename
    ... on ValuesEvent { values }
    ... on UpdatesEvent { node update }
    ... on MessagesEvent { message { type content text toolCalls { name } } metadata }
    ... on CustomEvent { data }
    ... on TasksEvent { task: data }
    ... on CheckpointsEvent { checkpointId checkpoint: data }
  } } } }`;
  const LEFT_OUT = expect.stringMatching(
    new RegExp(
      `^\\[Left out: the event has \\d+ bytes; at most ${EVENT_BYTES} are stored\\. EVENT_LIMIT_BYTES sets the limit\\.\\]$`,
    ),
  );

  it('puts a text in the place of the data of a larger event, and the run goes on', async () => {
    const streamModes = ['VALUES', 'UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'];
    const run = await grow({ chars: 30_000 }, { streamModes, durability: 'EXIT' });
    expect(run).toMatchObject({ status: 'SUCCESS', output: { list: ['x'.repeat(30_000)] } });
    const { events } = (await server.gql(EVENTS, { id: run.id })).run;
    const of = (type: string) => events.nodes.filter((event: any) => event.__typename === type);
    expect(of('ValuesEvent').at(-1)).toMatchObject({ values: LEFT_OUT });
    expect(of('UpdatesEvent')).toMatchObject([{ node: 'grow', update: LEFT_OUT }]);
    expect(of('MessagesEvent')).toMatchObject([
      { message: { type: 'AI', content: LEFT_OUT, text: LEFT_OUT, toolCalls: [] }, metadata: {} },
    ]);
    expect(of('CustomEvent')).toMatchObject([{ data: LEFT_OUT }]);
    expect(of('TasksEvent').at(-1).task).toMatchObject({ name: 'grow', result: LEFT_OUT });
    expect(of('CheckpointsEvent').at(-1)).toMatchObject({
      checkpointId: expect.any(String),
      checkpoint: { values: LEFT_OUT },
    });
    expect(await server.follow(run.id)).toHaveLength(events.nodes.length);
  });

  it('does not concern the state that an event refers to', async () => {
    const run = await grow({ chars: 30_000 }, { streamModes: ['VALUES'] });
    const { events } = (await server.gql(EVENTS, { id: run.id })).run;
    const values = events.nodes.filter(({ __typename }: any) => __typename === 'ValuesEvent');
    expect(values.at(-1).values.list).toEqual(['x'.repeat(30_000)]);
  });
});

describe('RUN_EVENT_LIMIT_BYTES', () => {
  const error = {
    name: 'LimitError',
    message: expect.stringMatching(
      new RegExp(
        `^The events of the run have \\d+ bytes; at most ${RUN_EVENT_BYTES} are stored\\. RUN_EVENT_LIMIT_BYTES sets the limit\\.$`,
      ),
    ),
  };
  const endless = {
    assistantId: 'large',
    input: { what: 'events' },
    onCompletion: 'KEEP',
    streamModes: ['CUSTOM'],
  };

  it('ends a run that writes events for ever, without a pause, at its first attempt', async () => {
    const { createRun: run } = await server.gql(RUN, { input: endless });
    expect(run).toMatchObject({ status: 'ERROR', attempt: 1, error });
    const events = await server.follow(run.id);
    const custom = events.filter(({ __typename }) => __typename === 'CustomEvent');
    // Each update has 200 bytes and its digits. The run has all events before the limit, without a gap.
    expect(custom.map(({ data }) => data)).toEqual(Array.from(custom, (_, n) => n));
    expect(custom.length).toBeGreaterThan(RUN_EVENT_BYTES / 220);
    expect(custom.length).toBeLessThan(RUN_EVENT_BYTES / 200);
    expect(events.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'ERROR', error });
  });

  it('counts what earlier attempts of the run have told', async () => {
    const database = await createTestDatabase();
    const start = (dispose: () => Promise<void>) =>
      startTestApp({ ...database, dispose }, SETTINGS);
    const first = await start(async () => {});
    const { createRun: run } = await first.gql(CREATE_RUN, {
      input: { ...endless, input: { what: 'manyEvents' } },
    });
    const FOLLOW = `subscription ($id: ID!) { runEvents(runId: $id) { ... on CustomEvent { data } } }`;
    for await (const { runEvents } of first.subscribe(FOLLOW, { id: run.id })) {
      if (runEvents.data === 1199) break;
    }
    await first.stop();

    await using second = await start(database.dispose);
    const events = await second.follow(run.id);
    expect(events.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'ERROR', error });
    const custom = events.filter(({ __typename }) => __typename === 'CustomEvent');
    expect(custom.length).toBeGreaterThan(1200);
    expect(custom.length).toBeLessThan(RUN_EVENT_BYTES / 200);
  });

  it('leaves the thread to the next run', async () => {
    const { createRun: failed } = await server.gql(RUN, { input: endless });
    const { createRun: next } = await server.gql(RUN, {
      input: {
        ...endless,
        threadId: failed.threadId,
        onCompletion: undefined,
        input: { what: '' },
      },
    });
    expect(next).toMatchObject({ status: 'SUCCESS', error: null });
  });
});
