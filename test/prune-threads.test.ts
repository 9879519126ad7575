import path from 'node:path';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, randomId } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';
import { sendTo } from './support/rest.ts';
import { sdkClient } from './support/sdk.ts';

const PRUNE = operation(`mutation ($selection: ThreadSelection!) {
  pruneThreads(selection: $selection) { id status }
}`);
const READ = operation(`query ($id: ID!) {
  thread(id: $id) {
    values
    storageBytes
    storage { values { count } writes { count } }
    state { checkpointId next parent { checkpointId } }
    history(first: 100) { totalCount nodes { values } }
    runs { nodes { status output } }
  }
}`);

const read = async (client: Client, id: string) =>
  (await client.gql(READ, { id })).thread ?? expect.fail('no thread');

const prune = async (client: Client, ...ids: string[]) =>
  (await client.gql(PRUNE, { selection: { ids } })).pruneThreads?.map(({ id }) => id);

/** Creates two threads with the same runs: one to prune, one to compare with. */
async function talkTwice(client: Client, assistantId: string, inputs: object[]) {
  const ids = [await client.createThread(), await client.createThread()] as const;
  for (const threadId of ids) {
    for (const input of inputs) await client.runToEnd({ threadId, assistantId, input });
  }
  return ids;
}

describe('pruneThreads', () => {
  it('keeps the current state only, and frees what the history stored', async ({ client }) => {
    const id = await client.createThread();
    for (let n = 0; n < 5; n++) {
      const input = { list: Array.from({ length: 50 }, () => randomId().repeat(5)) };
      await client.runToEnd({ threadId: id, assistantId: 'shrink', input });
    }
    const before = await read(client, id);
    expect(before.history.totalCount).toBeGreaterThan(10);
    expect(await prune(client, id)).toEqual([id]);
    const after = await read(client, id);
    expect(after.values).toEqual(before.values);
    expect(after.history).toEqual({ totalCount: 1, nodes: [{ values: before.values }] });
    expect(after.state).toEqual({ ...before.state, parent: null });
    expect(after.storage.writes.count).toBeLessThanOrEqual(before.storage.writes.count);
    expect(after.storageBytes).toBeLessThan(before.storageBytes / 3);
    const [last, ...earlier] = after.runs.nodes;
    expect(last?.output).toEqual(before.values);
    expect(earlier.map(({ output }) => output)).toEqual([null, null, null, null]);
    // Once more changes nothing.
    await prune(client, id);
    expect(await read(client, id)).toEqual(after);
  });

  it.for([
    ['echo', [human('one'), human('two')], human('three')],
    ['remembering', [{ log: ['a'] }, { log: ['b'] }], { log: ['c'] }],
    ['nested', [{ log: ['a'] }, { log: ['b'] }], { log: ['c'] }],
    ['delta', [{ log: ['a'] }, { log: ['b'] }], { log: ['c'] }],
  ] as const)(
    'lets the next run of %s continue as before',
    async ([assistantId, inputs, next], { client }) => {
      const [pruned, whole] = await talkTwice(client, assistantId, [...inputs]);
      await prune(client, pruned);
      for (const threadId of [pruned, whole]) {
        await client.runToEnd({ threadId, assistantId, input: next });
      }
      const withoutIds = (values: unknown) =>
        JSON.parse(JSON.stringify(values).replaceAll(/"id":"[^"]*"/g, '"id":""')) as unknown;
      const [one, other] = [await read(client, pruned), await read(client, whole)];
      expect(withoutIds(one.values)).toEqual(withoutIds(other.values));
      const most = other.history.totalCount;
      // `delta` has no whole value yet, so it needs all checkpoints.
      if (assistantId === 'delta') expect(one.history.totalCount).toBe(most);
      else expect(one.history.totalCount).toBeLessThan(most);
    },
  );

  it('leaves the rest of a run at a breakpoint', async ({ client }) => {
    const id = await client.createThread();
    await client.runToEnd({
      threadId: id,
      assistantId: 'steps',
      input: { log: ['in'] },
      interruptAfter: ['step5'],
    });
    await prune(client, id);
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'steps', input: null });
    expect(valuesOf(output).log.at(-1)).toBe('step10');
  });

  it('is refused while a run is running or waits for its time, or a question is open', async ({
    client,
    server,
  }) => {
    const [asking, later, free] = [
      await client.createThread(),
      await client.createThread(),
      await client.createThread(),
    ];
    await client.runToEnd({ threadId: asking, assistantId: 'ask', input: {} });
    await client.runToEnd({ threadId: later, assistantId: 'echo', input: human('now') });
    const run = await client.startRun({
      threadId: later,
      assistantId: 'echo',
      input: human('later'),
      afterSeconds: 600,
    });
    await client.runToEnd({ threadId: free, assistantId: 'echo', input: human('hi') });
    for (const [id, code] of [
      [asking, 'CONFLICT'],
      [later, 'THREAD_BUSY'],
    ] as const) {
      const before = await read(client, id);
      const [error] = await client.errors(PRUNE, { selection: { ids: [id] } });
      expect(error?.extensions).toMatchObject({ code });
      expect(await read(client, id)).toEqual(before);
      const body = { thread_ids: [free, id], strategy: 'keep_latest' };
      expect((await sendTo(server, 'POST', '/threads/prune', body)).status).toBe(409);
    }
    // The thread before the refused one is done.
    expect((await read(client, free)).history.totalCount).toBe(1);
    await client.cancelRun(run.id);
    expect(await prune(client, later)).toEqual([later]);
  });

  it('works over REST with keep_latest, and deletes without it', async ({ client }) => {
    const sdk = sdkClient(client);
    const id = await client.createThread();
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('hi') });
    const before = await sdk.threads.getState(id);
    expect(await sdk.threads.prune([id, randomId()], { strategy: 'keep_latest' })).toEqual({
      pruned_count: 1,
    });
    const { parent_checkpoint: _, ...state } = await sdk.threads.getState(id);
    expect(before).toMatchObject(state);
    expect(await sdk.threads.getHistory(id)).toHaveLength(1);
    expect(await sdk.threads.prune([id])).toEqual({ pruned_count: 1 });
    await expect(sdk.threads.get(id)).rejects.toThrow('404');
  });

  it('works in slices on a long history', async ({ client, server }) => {
    const id = await client.createThread();
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('hi') });
    const { values } = await read(client, id);
    await server.app.sql.query(
      sql`INSERT INTO "Checkpoint" ("threadId", "namespace", "checkpointId", "source", "step", "metadata", "format", "versions",
          "versionsSeen", "createdAt")
        SELECT ${id}::uuid, '', gen_random_uuid(), 'LOOP', n, '{}', 4, json_build_object('old', n), '{}', now()
        FROM generate_series(1, 2500) n`,
    );
    await server.app.sql.query(
      sql`INSERT INTO "ChannelValue" ("threadId", "namespace", "channel", "version", "type", "value")
        SELECT ${id}::uuid, '', 'old', n, 'json', '1' FROM generate_series(1, 2500) n`,
    );
    await prune(client, id);
    expect(await read(client, id)).toMatchObject({ values, history: { totalCount: 1 } });
    expect((await read(client, id)).storage.values.count).toBeLessThan(20);
  });
});

describe('pruneThreads on DeltaChannels', () => {
  const graphsFile = path.join(import.meta.dirname, 'support/delta-graphs.json');

  it('keeps the checkpoints since the last whole value', async ({ startServer }) => {
    const { client } = await startServer({ graphsFile });
    for (const [assistantId, turns] of [
      ['steps', 1],
      ['steps', 2],
      ['steps', 3],
      ['talk', 4],
    ] as const) {
      const input = (n: number) =>
        assistantId === 'talk'
          ? { messages: [{ id: `m${n}`, role: 'user', content: 'one' }] }
          : { log: [`in ${n}`] };
      const inputs = Array.from({ length: turns }, (_, n) => input(n));
      const [pruned, whole] = await talkTwice(client, assistantId, inputs);
      await prune(client, pruned);
      const states = async () => [await read(client, pruned), await read(client, whole)] as const;
      let [one, other] = await states();
      expect(one.values).toEqual(other.values);
      if (assistantId === 'steps') {
        expect(one.history.totalCount).toBeLessThan(other.history.totalCount);
      }
      for (const threadId of [pruned, whole]) {
        await client.runToEnd({ threadId, assistantId, input: input(9) });
      }
      [one, other] = await states();
      expect(one.values).toEqual(other.values);
    }
  });
});
