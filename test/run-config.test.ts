import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import type { Client, RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';

const CREATE_ASSISTANT = operation(`mutation ($input: CreateAssistantInput!) {
  createAssistant(input: $input) { id }
}`);

type AssistantInput = VariablesOf<typeof CREATE_ASSISTANT>['input'];

/** Creates an assistant and returns its id. */
const createAssistant = async (client: Client, input: AssistantInput) =>
  (await client.gql(CREATE_ASSISTANT, { input })).createAssistant.id;

describe('what a run is given', () => {
  const RUN = operation(`query ($id: ID!) { run(id: $id) { config context metadata } }`);

  /** The channel `seen` of graph `whoami`: the configuration of its run. */
  interface Seen {
    configurable: Record<string, unknown>;
    context?: unknown;
    metadata: unknown;
    tags: string[];
  }

  async function look(client: Client, input: Partial<RunInput>) {
    const run = await client.runToEnd({ assistantId: 'whoami', input: {}, ...input });
    expect(run).toMatchObject({ status: 'SUCCESS' });
    return { run, seen: run.output['seen'] as Seen };
  }

  const getRun = async (client: Client, id: string) => (await client.gql(RUN, { id })).run;

  it("is the assistant's, with the request's on top, and the ids of the run", async ({
    client,
  }) => {
    const assistantId = await createAssistant(client, {
      graphId: 'whoami',
      config: { configurable: { model: 'a', tone: 'dry' }, tags: ['assistant'] },
      context: { user: 'a', place: 'here' },
      metadata: { team: 'x', kind: 'assistant' },
    });
    const threadId = await client.createThread();
    const { run, seen } = await look(client, {
      threadId,
      assistantId,
      config: { configurable: { model: 'b', depth: 2 }, tags: ['request'] },
      context: { user: 'b' },
      metadata: { kind: 'request' },
    });

    const ids = {
      run_id: run.id,
      thread_id: threadId,
      graph_id: 'whoami',
      assistant_id: assistantId,
    };
    expect(seen.configurable).toEqual({ model: 'b', tone: 'dry', depth: 2, ...ids });
    expect(seen.context).toEqual({ user: 'b', place: 'here' });
    expect(seen.metadata).toMatchObject({ team: 'x', kind: 'request', ...ids });
    expect(seen.tags).toEqual(expect.arrayContaining(['request']));
    expect(seen.tags).not.toContain('assistant');
    expect(await getRun(client, run.id)).toMatchObject({
      config: { configurable: { model: 'b', tone: 'dry', depth: 2 }, tags: ['request'] },
      context: { user: 'b', place: 'here' },
      metadata: { team: 'x', kind: 'request' },
    });
  });

  it('holds nothing of an earlier run on the thread', async ({ client }) => {
    const threadId = await client.createThread();
    const assistantId = await createAssistant(client, {
      graphId: 'whoami',
      config: { configurable: { model: 'a' }, tags: ['a'], metadata: { from: 'config' } },
      context: { user: 'a' },
      metadata: { kind: 'a' },
    });
    await look(client, { threadId, assistantId });
    const { run, seen } = await look(client, { threadId });
    expect(seen.configurable).toEqual({
      run_id: run.id,
      thread_id: threadId,
      graph_id: 'whoami',
      assistant_id: seen.configurable['assistant_id'],
    });
    expect(seen.configurable['assistant_id']).not.toBe(assistantId);
    expect(seen.context ?? {}).toEqual({});
    expect(seen.metadata).not.toMatchObject({ kind: 'a' });
    expect(seen.metadata).not.toMatchObject({ from: 'config' });
    expect(seen.tags).not.toContain('a');
    expect(await getRun(client, run.id)).toMatchObject({ config: {}, context: {}, metadata: {} });
  });

  it('has the ids that the server gave it, whatever the client says', async ({ client }) => {
    const forged = {
      thread_id: randomId(),
      run_id: randomId(),
      graph_id: 'echo',
      assistant_id: 'x',
    };
    const threadId = await client.createThread();
    const { run, seen } = await look(client, {
      threadId,
      config: { configurable: { ...forged, own: 1 } },
    });
    expect(seen.configurable).toMatchObject({
      thread_id: threadId,
      run_id: run.id,
      graph_id: 'whoami',
      own: 1,
    });
    expect((await client.getThread(threadId)).values['seen']).toEqual(seen);
    expect((await getRun(client, run.id))?.config).toEqual({ configurable: { own: 1 } });
  });

  it.for(['checkpoint_id', 'checkpoint_ns', 'checkpoint_map', '__pregel_checkpointer'])(
    'is refused with configurable.%s',
    async (key, { client }) => {
      expect(
        await client.refusal({ assistantId: 'whoami', config: { configurable: { [key]: 'x' } } }),
      ).toEqual({
        code: 'BAD_USER_INPUT',
        argument: `input.config.configurable.${key}`,
      });
    },
  );

  it('fails with a clear error when it takes more steps than recursion_limit', async ({
    client,
  }) => {
    const run = await client.runToEnd({
      assistantId: 'steps',
      input: {},
      config: { recursion_limit: 3 },
    });
    expect(run).toMatchObject({ status: 'ERROR', error: { name: 'GraphRecursionError' } });
    expect(run.error?.message).toMatch(/Recursion limit of 3/);
    expect(
      await client.refusal({ assistantId: 'steps', config: { recursion_limit: 0 } }),
    ).toMatchObject({
      code: 'BAD_USER_INPUT',
    });
  });
});

describe('the recursion limit', () => {
  const limited = (limit: number) => ({ recursion_limit: limit });

  const assistantWith = (client: Client, config: Record<string, unknown>) =>
    createAssistant(client, { graphId: 'endless', config });

  const ofGraph = () => 'endless';
  const ofFive = (client: Client) => assistantWith(client, limited(5));

  it.for<[string, (client: Client) => string | Promise<string>, Partial<RunInput>, number]>([
    ['the run', ofGraph, { config: limited(3) }, 3],
    ['the run, as LangGraph spells it', ofGraph, { config: { recursionLimit: 4 } }, 4],
    ['the assistant', ofFive, {}, 5],
    ['the run before the assistant', ofFive, { config: limited(2) }, 2],
  ])(
    'is that of %s: the run ends in an error that says so',
    async ([_what, findAssistant, options, n], { client }) => {
      const threadId = await client.createThread();
      const run = await client.runToEnd({
        threadId,
        assistantId: await findAssistant(client),
        input: {},
        ...options,
      });
      expect(run).toMatchObject({
        status: 'ERROR',
        error: {
          name: 'GraphRecursionError',
          message: expect.stringContaining(`Recursion limit of ${n} reached`),
        },
        output: { log: Array(n).fill('again') },
      });
      expect(await client.getThread(threadId)).toMatchObject({
        status: 'ERROR',
        error: { name: 'GraphRecursionError' },
      });
    },
  );

  it('is of its run alone, and enough where it is one more than the graph has steps', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const steps = { threadId, assistantId: 'steps', input: { log: [] } };
    const enough = await client.runToEnd({ ...steps, config: limited(11) });
    const log = Array.from({ length: 10 }, (_, n) => `step${n + 1}`);
    expect(enough).toMatchObject({ status: 'SUCCESS', output: { log } });
    expect((await client.runToEnd({ ...steps, config: limited(10) })).status).toBe('ERROR');
    expect((await client.runToEnd(steps)).status).toBe('SUCCESS');
  });

  it('is 25 where nobody says', async ({ client }) => {
    const { error } = await client.runToEnd({ assistantId: 'endless', input: {} });
    expect(error?.message).toContain('Recursion limit of 25 reached');
  });

  it.for([0, -1, 1.5, '3', null])(
    'is a whole number from 1: %j is refused',
    async (limit, { client }) => {
      for (const key of ['recursion_limit', 'recursionLimit']) {
        expect(
          await client.refusal({ assistantId: 'endless', input: {}, config: { [key]: limit } }),
        ).toEqual({
          code: 'BAD_USER_INPUT',
          argument: `input.config.${key}`,
        });
      }
    },
  );
});

describe('the context of a run', () => {
  const contextual = { assistantId: 'contextual', input: {} };

  const RUN = operation(`mutation ($input: CreateRunInput!) {
    createRun(input: $input, wait: true) { context output }
  }`);

  /** The context of the run, and the context of its node. */
  async function contextOf(client: Client, input: RunInput) {
    const { createRun: run } = await client.gql(RUN, { input: { input: {}, ...input } });
    const { seen } = run.output as { seen: object };
    return { shown: run.context, ...('context' in seen && { seen: seen.context }) };
  }

  const assistantWith = (client: Client, context: AssistantInput['context']) =>
    createAssistant(client, { graphId: 'whoami', context });

  it('is what its nodes get as runtime.context, in subgraphs too', async ({ client }) => {
    const context = { user: 'ann', depth: 2 };
    const run = await client.runToEnd({ ...contextual, context });
    expect(run.output).toEqual({ seen: { outer: context, deep: context } });
  });

  it('is nothing of the run before it', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ ...contextual, threadId, context: { user: 'ann', depth: 2 } });
    const context = { user: 'bob' };
    const run = await client.runToEnd({ ...contextual, threadId, context });
    expect(run.output).toEqual({ seen: { outer: context, deep: context } });
  });

  it("is the assistant's where the run gives none", async ({ client }) => {
    const assistantId = await createAssistant(client, {
      graphId: 'contextual',
      context: { user: 'ann' },
    });
    const deepest = async (options: Partial<RunInput>) => {
      const { output } = await client.runToEnd({ ...contextual, assistantId, ...options });
      return (output['seen'] as { deep: unknown }).deep;
    };
    expect(await deepest({})).toEqual({ user: 'ann' });
    expect(await deepest({ context: { depth: 2 } })).toEqual({ user: 'ann', depth: 2 });
  });

  it('is none where nobody gives one, as LangGraph has it', async ({ client }) => {
    const { output } = await client.runToEnd({ assistantId: 'whoami', input: {} });
    expect(output['seen']).not.toHaveProperty('context');
    expect(await contextOf(client, { assistantId: 'whoami', context: null })).toEqual({
      shown: {},
    });
  });

  it('may be empty, also of an assistant', async ({ client }) => {
    const empty = { shown: {}, seen: {} };
    expect(await contextOf(client, { assistantId: 'whoami', context: {} })).toEqual(empty);
    const assistantId = await assistantWith(client, {});
    expect(await contextOf(client, { assistantId })).toEqual(empty);
    expect(await contextOf(client, { assistantId, context: {} })).toEqual(empty);
    expect(await contextOf(client, { assistantId, context: null })).toEqual(empty);
  });

  it("is laid over the assistant's, key by key", async ({ client }) => {
    const assistantId = await assistantWith(client, { a: { b: 1 }, c: 1 });
    const merged = { a: {}, c: 1, d: null };
    expect(await contextOf(client, { assistantId, context: { a: {}, d: null } })).toEqual({
      shown: merged,
      seen: merged,
    });
    const own = { a: { b: 1 }, c: 1 };
    expect(await contextOf(client, { assistantId, context: {} })).toEqual({
      shown: own,
      seen: own,
    });
    const added = { e: [] };
    expect(
      await contextOf(client, { assistantId: await assistantWith(client, null), context: added }),
    ).toEqual({
      shown: added,
      seen: added,
    });
  });

  it('of an assistant may become empty, and stays what it is where an update has none', async ({
    client,
  }) => {
    const id = await assistantWith(client, { a: 1 });
    const UPDATE = operation(`mutation ($id: ID!, $input: UpdateAssistantInput!) {
      updateAssistant(id: $id, input: $input) { context }
    }`);
    await client.gql(UPDATE, { id, input: { context: null, name: 'same' } });
    expect(await contextOf(client, { assistantId: id })).toEqual({
      shown: { a: 1 },
      seen: { a: 1 },
    });
    await client.gql(UPDATE, { id, input: { context: {} } });
    expect(await contextOf(client, { assistantId: id })).toEqual({ shown: {}, seen: {} });
  });

  it('is checked by the schema of the graph, also where it is empty', async ({ client }) => {
    const run = await client.runToEnd({ ...contextual, context: {} });
    expect(run).toMatchObject({ status: 'ERROR' });
    expect(run.error?.message).toMatch(/user/);
  });

  it('fails the run where the schema of the graph does not take it', async ({ client }) => {
    const threadId = await client.createThread();
    const run = await client.runToEnd({
      ...contextual,
      threadId,
      context: { user: 'ann', depth: 'deep' },
    });
    expect(run).toMatchObject({ status: 'ERROR' });
    expect(run.error?.message).toMatch(/depth/);
    const next = await client.runToEnd({ ...contextual, threadId, context: { user: 'ann' } });
    expect(next).toMatchObject({ status: 'SUCCESS' });
  });
});
