import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';

describe('a root field that fails', () => {
  it('does not take the results of the other queries with it', async ({ client }) => {
    const { data, errors } = await client.request(
      operation(`{
        threads(first: 0) { totalCount }
        runs(first: 101) { totalCount }
        assistants(last: 0) { totalCount }
        pendingInterrupts(after: "?") { totalCount }
        graphs { id }
      }`),
    );
    expect(data).toMatchObject({
      threads: null,
      runs: null,
      assistants: null,
      pendingInterrupts: null,
    });
    expect(data.graphs.length).toBeGreaterThan(0);
    const failed = ['threads', 'runs', 'assistants', 'pendingInterrupts'];
    expect(errors?.map(({ path }) => String(path)).toSorted()).toEqual(failed.toSorted());
  });

  it('does not hide what the mutations before and after it have done', async ({ client }) => {
    const { data, errors } = await client.request(
      operation(`mutation ($missing: ID!) {
        first: createThread { id }
        deleteThread(id: $missing)
        second: createThread { id }
      }`),
      { missing: randomId() },
    );
    expect(errors).toMatchObject([{ path: ['deleteThread'], extensions: { code: 'NOT_FOUND' } }]);
    expect(data).toEqual({
      first: { id: expect.any(String) },
      deleteThread: null,
      second: { id: expect.any(String) },
    });
  });
});

describe('isNew', () => {
  const CREATE = operation(`
    mutation Create($thread: CreateThreadInput!, $assistant: CreateAssistantInput!, $run: CreateRunInput!) {
      createThread(input: $thread) { id isNew }
      createAssistant(input: $assistant) { id isNew }
      createRun(input: $run) { id isNew }
      waited: createRun(input: $run, wait: true) { id isNew }
      createRuns(inputs: [$run]) { id isNew }
    }
  `);

  it('tells whether a mutation has created its object or found it', async ({ client }) => {
    const thread = { id: randomId(), ifExists: 'DO_NOTHING' as const };
    const assistant = { ...thread, id: randomId(), graphId: 'echo' };
    const run = { assistantId: 'echo', input: human('once'), idempotencyKey: randomId() };
    const isNewOf = async () => {
      const created = await client.gql(CREATE, { thread, assistant, run });
      const { createThread, createAssistant, createRun, waited, createRuns } = created;
      return [createThread, createAssistant, createRun, waited, ...createRuns].map(
        (each) => each?.isNew,
      );
    };
    expect(await isNewOf()).toEqual([true, true, true, false, false]);
    expect(await isNewOf()).toEqual([false, false, false, false, false]);
  });

  it('is true for a run that the mutation has created and waited for', async ({ client }) => {
    const CREATE_AND_WAIT = operation(`
      mutation ($input: CreateRunInput!) { createRun(input: $input, wait: true) { isNew status } }
    `);
    const input = { assistantId: 'echo', input: human('once') };
    const { createRun } = await client.gql(CREATE_AND_WAIT, { input });
    expect(createRun).toEqual({ isNew: true, status: 'SUCCESS' });
  });

  it('is true for a copy', async ({ client }) => {
    const COPY = operation(`mutation ($id: ID!) { copyThread(id: $id) { isNew } }`);
    const { copyThread } = await client.gql(COPY, { id: await client.createThread() });
    expect(copyThread).toEqual({ isNew: true });
  });

  it('is null in every other answer', async ({ client }) => {
    const id = await client.createThread();
    const { thread } = await client.gql(
      operation(`query ($id: ID!) { thread(id: $id) { isNew } }`),
      {
        id,
      },
    );
    expect(thread).toEqual({ isNew: null });
  });
});

describe('server', () => {
  it('tells its version and the limits of its configuration', async ({ client, server }) => {
    const { app } = server;
    const answer = await client.gql(
      operation(`{ server { version limits { requestBytes pageSize eventRetentionSeconds } } }`),
    );
    expect(answer.server).toEqual({
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      limits: {
        requestBytes: app.config.bodyLimitBytes,
        pageSize: 100,
        eventRetentionSeconds: app.config.eventRetentionSeconds,
      },
    });
  });
});
