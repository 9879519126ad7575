import path from 'node:path';
import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import { CREATE_THREAD, type Client } from './support/client.ts';
import { createTestDatabase } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';
import { ALL_MODES } from './support/stream-events.ts';

const STATE_BYTES = 100_000;
const EVENT_BYTES = 30_000;
const RUN_EVENT_BYTES = 400_000;

const SETTINGS = {
  graphsFile: path.join(import.meta.dirname, 'support/limit-graphs.json'),
  stateLimitBytes: STATE_BYTES,
  eventLimitBytes: EVENT_BYTES,
  runEventLimitBytes: RUN_EVENT_BYTES,
};

it.override('settings', SETTINGS);

const UPDATE_STATE = operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { checkpointId }
}`);
const RUN = operation(`mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) { id threadId status attempt output error { name message } }
}`);
const THREAD = operation(`query ($id: ID!) {
  thread(id: $id) { status values runs { nodes { id } } history { nodes { checkpointId } } }
}`);

type RunInput = VariablesOf<typeof RUN>['input'];

/** A run of the graph `growing`. */
async function grow(client: Client, input: object, more: Partial<RunInput> = {}) {
  const { createRun: run } = await client.gql(RUN, {
    input: { assistantId: 'growing', input, onCompletion: 'KEEP', ...more },
  });
  return { ...run, threadId: run.threadId ?? '' };
}

async function readThread(client: Client, id: string) {
  return (await client.gql(THREAD, { id })).thread;
}

const readList = async (client: Client, id: string) =>
  valuesOf((await readThread(client, id))?.values)['list'];

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
  it.for(['SYNC', 'ASYNC', 'EXIT'] as const)(
    'ends a run that makes a larger state at its first attempt, and the thread goes on (%s)',
    async (durability, { client }) => {
      const { threadId } = await grow(client, { chars: 10_000 });
      const failed = await grow(client, { chars: STATE_BYTES }, { threadId, durability });
      expect(failed).toMatchObject({ status: 'ERROR', attempt: 1 });
      expect(failed.error).toEqual(tooLarge('A value of the state has'));
      expect(await readThread(client, threadId)).toMatchObject({
        status: 'ERROR',
        values: { list: ['x'.repeat(10_000)] },
      });

      expect(await grow(client, { chars: 5 }, { threadId })).toMatchObject({ status: 'SUCCESS' });
      expect(await readList(client, threadId)).toEqual(['x'.repeat(10_000), 'xxxxx']);
    },
  );

  it('counts all channels, also those that other runs have written', async ({ client }) => {
    const { threadId } = await grow(client, { chars: 15_000 });
    expect(await grow(client, { chars: 15_000 }, { threadId })).toMatchObject({
      status: 'SUCCESS',
    });
    expect(await grow(client, { chars: 15_000 }, { threadId })).toMatchObject({
      status: 'SUCCESS',
    });
    const failed = await grow(client, { chars: 15_000 }, { threadId });
    expect(failed).toMatchObject({ status: 'ERROR', error: tooLarge('The state would have') });
    expect(await readList(client, threadId)).toHaveLength(3);
    expect(valuesOf(failed.output)['list']).toHaveLength(3);
    const edit = { values: { list: [] }, asNode: 'grow' };
    await client.gql(UPDATE_STATE, { id: threadId, input: edit });
    expect(await readList(client, threadId)).toHaveLength(3);
  });

  it('counts what the tasks of one step write together', async ({ client }) => {
    expect(await grow(client, { chars: 20_000, tasks: 3 })).toMatchObject({ status: 'SUCCESS' });
    expect(await grow(client, { chars: 20_000, tasks: 6 })).toMatchObject({
      status: 'ERROR',
      error: tooLarge('(The tasks of a step wrote|The state would have)'),
    });
  });

  it('counts the output of a run without a thread, as JSON', async ({ client }) => {
    const stateless = { onCompletion: 'DELETE' } as const;
    const small = await grow(client, { chars: 1, floats: 100 }, stateless);
    expect(small).toMatchObject({ status: 'SUCCESS', output: { list: ['x'] } });
    // Each number has eight bytes in the state, and three times as many digits.
    const large = await grow(client, { chars: 1, floats: 8000 }, stateless);
    expect(large).toMatchObject({ status: 'ERROR', attempt: 1, output: null });
    expect(large.error).toEqual(tooLarge('The output of the run has'));
    expect(await grow(client, { chars: 1, floats: 8000 })).toMatchObject({ status: 'SUCCESS' });
  });

  it('refuses a larger input and a larger command, and creates no run', async ({ client }) => {
    const threadId = await client.createThread();
    const large = { list: ['x'.repeat(STATE_BYTES)] };
    const given: [argument: string, input: object][] = [
      ['input.input', { input: large }],
      ['input.command', { command: { update: large } }],
    ];
    for (const [argument, input] of given) {
      const errors = await client.errors(RUN, {
        input: { assistantId: 'growing', threadId, ...input },
      });
      expect(errors).toMatchObject([refusal(argument)]);
    }
    expect((await readThread(client, threadId))?.runs.nodes).toEqual([]);
  });

  it('refuses an edit that makes a larger state, and the state stays', async ({ client }) => {
    const { threadId } = await grow(client, { chars: 20_000 });
    const before = await readThread(client, threadId);
    const edit = (chars: number) =>
      client.request(UPDATE_STATE, {
        id: threadId,
        input: { values: { list: ['z'.repeat(chars)] }, asNode: 'grow' },
      });
    // Each is smaller than the limit.
    expect((await edit(70_000)).errors).toMatchObject([refusal('input.values')]);
    expect(await readThread(client, threadId)).toEqual(before);
    expect((await edit(50_000)).errors).toBeUndefined();
  });

  it('refuses supersteps that make a larger state, and creates no thread', async ({ client }) => {
    const id = randomId();
    const step = (chars: number) => ({
      updates: [{ asNode: 'grow', values: { list: ['x'.repeat(chars)] } }],
    });
    const supersteps = [step(40_000), step(40_000), step(40_000)];
    const errors = await client.errors(CREATE_THREAD, {
      input: { id, graphId: 'growing', supersteps },
    });
    expect(errors).toMatchObject([refusal('input.supersteps[2].updates[0]')]);
    expect(await readThread(client, id)).toBeNull();
  });
});

describe('EVENT_LIMIT_BYTES', () => {
  const EVENTS = operation(`query ($id: ID!) { run(id: $id) { status events(first: 100) { nodes {
    __typename
    ... on ValuesEvent { values }
    ... on UpdatesEvent { node update }
    ... on MessagesEvent { message { type content text toolCalls { name } } metadata }
    ... on CustomEvent { data }
    ... on TasksEvent { task: data }
    ... on CheckpointsEvent { checkpointId checkpoint: data }
  } } } }`);

  async function eventsOf(client: Client, id: string) {
    const { run } = await client.gql(EVENTS, { id });
    return run?.events.nodes ?? [];
  }

  const LEFT_OUT = expect.stringMatching(
    new RegExp(
      `^\\[Left out: the event has \\d+ bytes; at most ${EVENT_BYTES} are stored\\. EVENT_LIMIT_BYTES sets the limit\\.\\]$`,
    ),
  );

  it('puts a text in the place of the data of a larger event, and the run goes on', async ({
    client,
  }) => {
    const run = await grow(
      client,
      { chars: 30_000 },
      { streamModes: ALL_MODES, durability: 'EXIT' },
    );
    expect(run).toMatchObject({ status: 'SUCCESS', output: { list: ['x'.repeat(30_000)] } });
    const events = await eventsOf(client, run.id);
    const of = (type: string) => events.filter((event) => event.__typename === type);
    expect(of('ValuesEvent').at(-1)).toMatchObject({ values: LEFT_OUT });
    expect(of('UpdatesEvent')).toMatchObject([{ node: 'grow', update: LEFT_OUT }]);
    expect(of('MessagesEvent')).toMatchObject([
      { message: { type: 'AI', content: LEFT_OUT, text: LEFT_OUT, toolCalls: [] }, metadata: {} },
    ]);
    expect(of('CustomEvent')).toMatchObject([{ data: LEFT_OUT }]);
    expect(of('TasksEvent').at(-1)).toMatchObject({ task: { name: 'grow', result: LEFT_OUT } });
    expect(of('CheckpointsEvent').at(-1)).toMatchObject({
      checkpointId: expect.any(String),
      checkpoint: { values: LEFT_OUT },
    });
    expect(await client.follow(run.id)).toHaveLength(events.length);
  });

  it('does not concern the state that an event refers to', async ({ client }) => {
    const run = await grow(client, { chars: 30_000 }, { streamModes: ['VALUES'] });
    const events = await eventsOf(client, run.id);
    const values = events.filter(({ __typename }) => __typename === 'ValuesEvent');
    expect(values.at(-1)).toMatchObject({ values: { list: ['x'.repeat(30_000)] } });
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
  } satisfies RunInput;

  it('ends a run that writes events for ever, without a pause, at its first attempt', async ({
    client,
  }) => {
    const { createRun: run } = await client.gql(RUN, { input: endless });
    expect(run).toMatchObject({ status: 'ERROR', attempt: 1, error });
    const events = await client.follow(run.id);
    const custom = events.filter((event) => event.__typename === 'CustomEvent');
    // Each event has 200 bytes and its digits. The run has all events before the limit, without a gap.
    expect(custom.map(({ data }) => data)).toEqual(Array.from(custom, (_, n) => n));
    expect(custom.length).toBeGreaterThan(RUN_EVENT_BYTES / 220);
    expect(custom.length).toBeLessThan(RUN_EVENT_BYTES / 200);
    expect(events.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'ERROR', error });
  });

  it('counts what earlier attempts of the run have told', async ({ startServer }) => {
    const database = await createTestDatabase();
    const first = await startServer(SETTINGS, database);
    const run = await first.client.startRun({ ...endless, input: { what: 'manyEvents' } });
    const follow = operation(
      `subscription ($id: ID!) { runEvents(runId: $id) { __typename ... on CustomEvent { data } } }`,
    );
    for await (const { runEvents } of first.client.subscribe(follow, { id: run.id })) {
      if (runEvents.__typename === 'CustomEvent' && runEvents.data === 1199) break;
    }
    await first.server.stop();

    const second = await startServer(SETTINGS, database);
    const events = await second.client.follow(run.id);
    expect(events.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'ERROR', error });
    const custom = events.filter((event) => event.__typename === 'CustomEvent');
    expect(custom.length).toBeGreaterThan(1200);
    expect(custom.length).toBeLessThan(RUN_EVENT_BYTES / 200);
    await second.server.stop();
    await database.dispose();
  });

  it('leaves the thread to the next run', async ({ client }) => {
    const { createRun: failed } = await client.gql(RUN, { input: endless });
    const { createRun: next } = await client.gql(RUN, {
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
