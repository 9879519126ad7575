import { describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import { it } from './support/fixture.ts';
import { idsOf, operation } from './support/graphql.ts';

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
