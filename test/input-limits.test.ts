import { describe, expect } from 'vitest';
import { CREATE_RUN, CREATE_THREAD, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';

it.override('settings', {
  metadataKeyLimit: 10,
  metadataLimitBytes: 1000,
  configKeyLimit: 10,
  configLimitBytes: 2000,
  configDepthLimit: 5,
  recursionLimit: 50,
  queuedRunLimit: 60,
});

const CREATE_ASSISTANT = operation(
  `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { id } }`,
);
const UPDATE_ASSISTANT = operation(`mutation ($id: ID!, $input: UpdateAssistantInput!) {
  updateAssistant(id: $id, input: $input) { metadata }
}`);
const UPDATE_THREAD = operation(`mutation ($id: ID!, $metadata: JSONObject!) {
  updateThread(id: $id, input: { metadata: $metadata }) { metadata }
}`);
const CREATE_RUNS = operation(
  `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`,
);

const keys = (count: number, prefix = 'k') =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}${n}`, n]));
const levels = (count: number): unknown => (count === 0 ? 1 : { a: levels(count - 1) });
const refusal = (argument: string, variable: string) => ({
  message: expect.stringContaining(`${variable} sets the limit.`),
  extensions: { code: 'BAD_USER_INPUT', argument },
});

const run = (input: Record<string, unknown>) => ({ assistantId: 'steps', input: {}, ...input });
const createRun = (client: Client, input: Record<string, unknown>) =>
  client.request(CREATE_RUN, { input: run(input), wait: true });

describe("A run's configuration", () => {
  const bad: [what: string, input: object, argument: string, variable: string][] = [
    ['keys of metadata', { metadata: keys(11) }, 'metadata', 'METADATA_KEY_LIMIT'],
    [
      "keys of its config's metadata",
      { config: { metadata: keys(11) } },
      'config.metadata',
      'METADATA_KEY_LIMIT',
    ],
    [
      'keys of both together',
      { metadata: keys(6), config: { metadata: keys(6, 'c') } },
      'metadata',
      'METADATA_KEY_LIMIT',
    ],
    [
      'bytes of metadata',
      { metadata: { a: 'x'.repeat(1000) } },
      'metadata',
      'METADATA_LIMIT_BYTES',
    ],
    ['levels of metadata', { metadata: levels(6) }, 'metadata', 'CONFIG_DEPTH_LIMIT'],
    [
      'keys of configurable',
      { config: { configurable: keys(11) } },
      'config.configurable',
      'CONFIG_KEY_LIMIT',
    ],
    ['tags', { config: { tags: Object.keys(keys(11)) } }, 'config.tags', 'CONFIG_KEY_LIMIT'],
    ['levels of config', { config: { configurable: levels(5) } }, 'config', 'CONFIG_DEPTH_LIMIT'],
    [
      'bytes of config',
      { config: { configurable: { a: 'x'.repeat(2000) } } },
      'config',
      'CONFIG_LIMIT_BYTES',
    ],
    ['bytes of context', { context: { a: 'é'.repeat(1000) } }, 'context', 'CONFIG_LIMIT_BYTES'],
    ['steps', { config: { recursion_limit: 51 } }, 'config.recursion_limit', 'RECURSION_LIMIT'],
    [
      "steps, as LangGraph's configuration names them",
      { config: { recursionLimit: 51 } },
      'config.recursionLimit',
      'RECURSION_LIMIT',
    ],
    ['seconds', { timeoutSeconds: 3601 }, 'timeoutSeconds', 'RUN_SECONDS'],
  ];

  it.for(bad)('has a limit of %s', async ([_what, input, argument, variable], { client }) => {
    const { errors } = await createRun(client, input as Record<string, unknown>);
    expect(errors).toMatchObject([refusal(`input.${argument}`, variable)]);
    const { errors: several } = await client.request(CREATE_RUNS, {
      inputs: [run({}), run(input as Record<string, unknown>)],
    });
    expect(several).toMatchObject([refusal(`inputs[1].${argument}`, variable)]);
  });

  it('may be as large as each limit', async ({ client }) => {
    const input = {
      metadata: keys(5),
      config: {
        metadata: keys(5, 'c'),
        configurable: { ...keys(9), deep: levels(3) },
        tags: Object.keys(keys(10)),
        recursion_limit: 50,
      },
      timeoutSeconds: 3600,
    };
    expect((await createRun(client, input)).data).toMatchObject({
      createRun: { status: 'SUCCESS' },
    });
  });

  it("is checked together with its assistant's", async ({ client }) => {
    const metadata = keys(6, 'assistant');
    const { createAssistant: assistant } = await client.gql(CREATE_ASSISTANT, {
      input: { graphId: 'steps', metadata, config: { configurable: keys(6, 'assistant') } },
    });
    const input = { assistantId: assistant.id };
    expect((await createRun(client, { ...input, metadata: keys(4) })).errors).toBeUndefined();
    expect((await createRun(client, { ...input, metadata: keys(5) })).errors).toMatchObject([
      refusal('input.metadata', 'METADATA_KEY_LIMIT'),
    ]);
    const config = { configurable: keys(5) };
    expect((await createRun(client, { ...input, config })).errors).toMatchObject([
      refusal('input.config.configurable', 'CONFIG_KEY_LIMIT'),
    ]);
  });

  it('ends the run in TIMEOUT where it gives no time and the server does', async ({
    startServer,
  }) => {
    const { client: hasty } = await startServer({ runSeconds: 1 });
    const { createRun: slow } = await hasty.gql(CREATE_RUN, {
      input: { assistantId: 'slow', input: { ms: 60_000 } },
      wait: true,
    });
    expect(slow).toMatchObject({ status: 'TIMEOUT' });
  });
});

describe("An assistant's configuration", () => {
  const bad: [what: string, input: object, argument: string, variable: string][] = [
    ['keys of metadata', { metadata: keys(11) }, 'metadata', 'METADATA_KEY_LIMIT'],
    ['tags', { config: { tags: Object.keys(keys(11)) } }, 'config.tags', 'CONFIG_KEY_LIMIT'],
    ['steps', { config: { recursion_limit: 51 } }, 'config.recursion_limit', 'RECURSION_LIMIT'],
    ['bytes of context', { context: { a: 'x'.repeat(2000) } }, 'context', 'CONFIG_LIMIT_BYTES'],
  ];

  it.for(bad)('has a limit of %s', async ([_what, input, argument, variable], { client }) => {
    const expected = [refusal(`input.${argument}`, variable)];
    const created = await client.errors(CREATE_ASSISTANT, {
      input: { graphId: 'steps', ...input },
    });
    expect(created).toMatchObject(expected);
    expect(await client.errors(UPDATE_ASSISTANT, { id: 'steps', input })).toMatchObject(expected);
  });

  it('does not grow above the limit by updates', async ({ client }) => {
    const { createAssistant: made } = await client.gql(CREATE_ASSISTANT, {
      input: { graphId: 'steps', metadata: keys(8) },
    });
    const update = (metadata: object) =>
      client.request(UPDATE_ASSISTANT, { id: made.id, input: { metadata } });
    expect((await update(keys(3, 'more'))).errors).toMatchObject([
      refusal('input.metadata', 'METADATA_KEY_LIMIT'),
    ]);
    const { data } = await update({ ...keys(3, 'more'), k0: null });
    expect(Object.keys(data.updateAssistant?.metadata ?? {})).toHaveLength(10);
  });
});

describe("A thread's metadata", () => {
  it('has the limits of metadata, also after updates, and stays as it was above them', async ({
    client,
  }) => {
    expect(await client.errors(CREATE_THREAD, { input: { metadata: keys(11) } })).toMatchObject([
      refusal('input.metadata', 'METADATA_KEY_LIMIT'),
    ]);
    const { createThread: made } = await client.gql(CREATE_THREAD, {
      input: { metadata: keys(8), graphId: 'steps' },
    });
    const update = (metadata: object) => client.request(UPDATE_THREAD, { id: made.id, metadata });
    expect((await update(keys(3, 'more'))).errors).toMatchObject([
      refusal('input.metadata', 'METADATA_KEY_LIMIT'),
    ]);
    expect((await update({ a: 'x'.repeat(1000) })).errors).toMatchObject([
      refusal('input.metadata', 'METADATA_LIMIT_BYTES'),
    ]);
    const { data } = await update({ ...keys(3, 'more'), k0: null });
    expect(data.updateThread?.metadata).toEqual({
      ...keys(8),
      ...keys(3, 'more'),
      graph_id: 'steps',
      k0: undefined,
    });
  });
});

describe('The queue of a thread', () => {
  const later = (input: Record<string, unknown>) => run({ afterSeconds: 1000, ...input });

  it('takes as many runs as its limit, also of those that come at once', async ({ client }) => {
    const { createThread: thread } = await client.gql(CREATE_THREAD);
    const answers = await Promise.all(
      Array.from({ length: 80 }, () =>
        client.request(CREATE_RUN, { input: later({ threadId: thread.id }) }),
      ),
    );
    const refused = answers.flatMap(({ errors }) => errors ?? []);
    expect(refused).toHaveLength(20);
    for (const error of refused) {
      expect(error).toMatchObject(refusal('input.threadId', 'QUEUED_RUN_LIMIT'));
    }
    const count = `{ runs(filter: { threadId: "${thread.id}" }) { totalCount } }`;
    expect(await client.gql(count)).toEqual({ runs: { totalCount: 60 } });
  });

  it('refuses all of several runs where one of them has no room', async ({ client }) => {
    const { createThread: thread } = await client.gql(CREATE_THREAD);
    const several = (count: number) =>
      client.request(CREATE_RUNS, {
        inputs: Array.from({ length: count }, () => later({ threadId: thread.id })),
      });
    const { errors } = await several(61);
    expect(errors).toMatchObject([refusal('inputs[60].threadId', 'QUEUED_RUN_LIMIT')]);
    expect((await several(60)).errors).toBeUndefined();
  });

  it('refuses a run that stops others, and one with a key, where delayed ones fill it', async ({
    startServer,
  }) => {
    const { client: small } = await startServer({ queuedRunLimit: 1 });
    const { createThread: thread } = await small.gql(CREATE_THREAD);
    const one = { threadId: thread.id };
    const key = { ...later(one), idempotencyKey: 'first' };
    const { createRun: first } = await small.gql(CREATE_RUN, { input: key });
    const full = [refusal('input.threadId', 'QUEUED_RUN_LIMIT')];
    for (const input of [
      run({ ...one, multitaskStrategy: 'INTERRUPT' }),
      run({ ...one, idempotencyKey: 'second' }),
      run(one),
    ]) {
      expect(await small.errors(CREATE_RUN, { input })).toMatchObject(full);
    }
    // A repeated request with the same key is not a new run.
    expect(await small.gql(CREATE_RUN, { input: key })).toMatchObject({
      createRun: { id: first.id },
    });
    const made = run({ threadId: crypto.randomUUID(), ifThreadMissing: 'CREATE' });
    await small.gql(CREATE_RUN, { input: made, wait: true });
    await small.gql(CREATE_RUN, { input: run({}), wait: true });
  });
});
