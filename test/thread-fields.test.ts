import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import { it } from './support/fixture.ts';
import { idsOf, operation } from './support/graphql.ts';
import { sendTo } from './support/rest.ts';

const THREAD = operation(`query ($id: ID!) {
  thread(id: $id) { config createdAt updatedAt stateUpdatedAt }
}`);
const BY_STATE = operation(`query ($filter: ThreadFilter) {
  threads(filter: $filter, orderBy: { field: STATE_UPDATED_AT }) { nodes { id } }
}`);
const RENAME = operation(`mutation ($id: ID!) {
  updateThread(id: $id, input: { metadata: { title: "new" } }) { updatedAt stateUpdatedAt }
}`);

describe('Thread.config', () => {
  it('is the configuration of the last run, without keys of LangGraph', async ({ client }) => {
    const id = await client.createThread();
    const read = async () => (await client.gql(THREAD, { id })).thread?.config;
    expect(await read()).toEqual({});
    const run = { threadId: id, assistantId: 'steps', input: { log: [] } };
    await client.runToEnd({ ...run, config: { configurable: { model: 'small' } } });
    await client.runToEnd({
      ...run,
      config: { recursion_limit: 30, configurable: { model: 'large' } },
    });
    expect(await read()).toEqual({ recursion_limit: 30, configurable: { model: 'large' } });
  });
});

describe('Thread.stateUpdatedAt', () => {
  it('is the time of the last ended run, and the order of a list', async ({ client }) => {
    const mark = randomId();
    const [first, second] = [
      await client.createThread({ metadata: { mark } }),
      await client.createThread({ metadata: { mark } }),
    ];
    const order = async () =>
      idsOf((await client.gql(BY_STATE, { filter: { metadata: { mark } } })).threads.nodes);
    const { thread: before } = await client.gql(THREAD, { id: first });
    expect(before?.stateUpdatedAt).toBe(before?.createdAt);
    expect(await order()).toEqual([second, first]);
    await client.runToEnd({ threadId: first, assistantId: 'steps', input: { log: [] } });
    expect(await order()).toEqual([first, second]);
    // A change of the metadata is no change of the state.
    const { updateThread } = await client.gql(RENAME, { id: second });
    expect(updateThread.stateUpdatedAt < updateThread.updatedAt).toBe(true);
    expect(await order()).toEqual([first, second]);
  });
});

const STORAGE = operation(`query ($id: ID!) {
  thread(id: $id) {
    storageBytes
    storage {
      checkpoints { count bytes }
      values { count bytes }
      writes { count bytes }
      channels { channel versions bytes }
    }
  }
}`);

describe('Thread.storage', () => {
  it('has the parts of storageBytes, and the largest channels first', async ({
    client,
    server,
  }) => {
    const id = await client.createThread();
    const read = async () => (await client.gql(STORAGE, { id })).thread;
    const empty = { count: 0, bytes: 0 };
    expect(await read()).toEqual({
      storageBytes: 0,
      storage: { checkpoints: empty, values: empty, writes: empty, channels: [] },
    });
    for (let turn = 0; turn < 3; turn++) {
      const text = Array.from({ length: 200 }, randomId).join(' ');
      await client.runToEnd({ threadId: id, assistantId: 'echo', input: human(text) });
    }
    const thread = await read();
    const { checkpoints, values, writes, channels } = thread?.storage ?? expect.fail('no storage');
    expect(checkpoints.bytes + values.bytes + writes.bytes).toBe(thread?.storageBytes);
    expect(checkpoints.count).toBeGreaterThanOrEqual(6);
    expect(channels[0]).toMatchObject({ channel: 'messages', bytes: expect.any(Number) });
    // The messages are stored once, though several versions of the channel have them.
    expect(channels[0]?.bytes).toBeGreaterThan(3 * 200 * 20);
    expect(channels[0]?.bytes).toBeLessThan(3 * 2 * 200 * 45);
    expect(channels.reduce((sum, { versions }) => sum + versions, 0)).toBe(values.count);

    const { body } = await sendTo(server, 'GET', `/threads/${id}/storage`);
    const entries = channels.map(({ channel, ...rest }) => [channel, rest]);
    expect(body).toEqual({
      thread_id: id,
      total_bytes: thread?.storageBytes,
      checkpoints,
      channel_values: { ...values, by_channel: Object.fromEntries(entries) },
      pending_writes: writes,
    });
    expect((await sendTo(server, 'GET', `/threads/${randomId()}/storage`)).status).toBe(404);
  });

  it('counts the states of subgraphs, and content that only writes have', async ({ client }) => {
    const id = await client.createThread();
    await client.runToEnd({ threadId: id, assistantId: 'nestedAsk', input: {} });
    const thread = await client.gql(STORAGE, { id });
    const { storage, storageBytes } = thread.thread ?? expect.fail('no thread');
    const { checkpoints, values, writes } = storage;
    expect(writes.count).toBeGreaterThan(0);
    expect(checkpoints.bytes + values.bytes + writes.bytes).toBe(storageBytes);
  });
});
