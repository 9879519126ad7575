import path from 'node:path';
import { describe, expect } from 'vitest';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { human, sdkClient } from './support/sdk.ts';

const CANCEL = operation(`mutation ($id: ID!, $action: CancelAction!, $reason: String) {
  cancelRun(id: $id, action: $action, reason: $reason) { status cancelReason }
}`);
const RUN = operation(`query ($id: ID!) { run(id: $id) { status cancelReason } }`);

const graphsFile = path.join(import.meta.dirname, 'support/auth-graphs.json');
const input = { messages: [human('hi')] };

describe('The reason of a cancellation', () => {
  it('is stored with the run, over REST and in GraphQL, and the first one stays', async ({
    client,
  }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const run = async () =>
      (await sdk.runs.create(threadId, 'echo', { input, afterSeconds: 600 })).run_id;
    const id = await run();
    expect(await sdk.runs.get(threadId, id)).not.toHaveProperty('cancel_reason');
    await sdk.runs.cancel(threadId, id, false, 'interrupt', { reason: 'taken' });
    expect(await sdk.runs.get(threadId, id)).toMatchObject({
      status: 'interrupted',
      cancel_reason: expect.stringMatching(/^taken:/),
    });
    expect((await client.gql(RUN, { id })).run?.cancelReason).toMatch(/^taken:/);

    const other = { id: await run(), action: 'KEEP', reason: 'no longer needed' } as const;
    expect((await client.gql(CANCEL, other)).cancelRun).toEqual({
      status: 'CANCELLED',
      cancelReason: 'no longer needed',
    });
    const silent = await run();
    await sdk.runs.cancel(threadId, silent);
    expect((await client.gql(RUN, { id: silent })).run?.cancelReason).toBeNull();
  });

  it('is refused with a rollback, and if it is empty, long or unknown', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const { run_id: id } = await sdk.runs.create(threadId, 'echo', { input, afterSeconds: 600 });
    const rollback = sdk.runs.cancel(threadId, id, false, 'rollback', { reason: 'taken' });
    await expect(rollback).rejects.toThrow('422');
    const unknown = sdk.runs.cancel(threadId, id, false, 'interrupt', { reason: 'bored' as never });
    await expect(unknown).rejects.toThrow('422');
    for (const reason of ['', 'x'.repeat(1001)]) {
      const [error] = await client.errors(CANCEL, { id, action: 'KEEP', reason });
      expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'reason' });
    }
    expect((await sdk.runs.get(threadId, id)).status).toBe('pending');
  });
});

describe('The cancellation of many runs', () => {
  it.for([
    ['pending', ['interrupted', 'interrupted']],
    ['all', ['interrupted', 'interrupted']],
    ['running', ['pending', 'pending']],
  ] as const)(
    'selects the runs with the status %s',
    async ([status, expected], { startServer }) => {
      const { client } = await startServer({ workerConcurrency: 0 });
      const sdk = sdkClient(client);
      const threadId = await client.createThread();
      const ids: string[] = [];
      for (let n = 0; n < 2; n++) {
        ids.push(
          (await sdk.runs.create(threadId, 'echo', { input, afterSeconds: n * 600 })).run_id,
        );
      }
      const cancelled = sdk.runs.cancelMany({ status });
      if (status === 'running') await expect(cancelled).rejects.toThrow('404');
      else await cancelled;
      const runs = await Promise.all(ids.map((id) => sdk.runs.get(threadId, id)));
      expect(runs.map((run) => run.status)).toEqual(expected);
    },
  );
});

describe('The x- headers of a request', () => {
  it('are in the configuration of its run, without credentials and headers of proxies', async ({
    client,
  }) => {
    const headers = {
      'x-language': 'de',
      'x-tier': 'gold',
      'x-api-key': 'secret',
      'x-session-token': 'secret',
      'x-auth-scheme': 'langsmith',
      'x-request-id': '1',
      'x-forwarded-for': '10.0.0.1',
      'accept-language': 'de',
    };
    const sdk = sdkClient(client, { defaultHeaders: headers });
    const threadId = await client.createThread();
    const config = { configurable: { 'x-tier': 'silver', model: 'small' } };
    const { run_id } = await sdk.runs.create(threadId, 'echo', { input, config });
    await sdk.runs.join(threadId, run_id);
    const shown = { 'x-language': 'de', 'x-tier': 'silver', model: 'small' };
    expect((await sdk.threads.get(threadId)).config?.configurable).toEqual(shown);
    const [stored] = await sdk.runs.list(threadId);
    expect(JSON.stringify(stored)).not.toContain('secret');
  });

  it('are left out where a handler logs in: it may read credentials from any header', async ({
    startServer,
  }) => {
    const { client } = await startServer({ graphsFile });
    const authorization = `Test ${JSON.stringify({ identity: 'ann' })}`;
    const sdk = sdkClient(client, { defaultHeaders: { authorization, 'x-language': 'de' } });
    const { thread_id: threadId } = await sdk.threads.create();
    await sdk.runs.wait(threadId, 'whoCalls', { input: {} });
    const [run] = await sdk.runs.list(threadId);
    expect(run).toMatchObject({ status: 'success' });
    expect(JSON.stringify(run)).not.toContain('x-language');
    expect(JSON.stringify(await sdk.threads.get(threadId))).not.toContain('x-language');
  });
});
