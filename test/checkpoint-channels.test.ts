import { describe, expect } from 'vitest';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { measureValueReads } from './support/queries.ts';
import { threadAfter } from './support/thread-states.ts';

const VALUES = operation(`query ($id: ID!, $channels: [String!]) {
  thread(id: $id) {
    state { values(channels: $channels) }
    history(first: 100) { nodes { values(channels: $channels) } }
  }
}`);

/** Reads channels of the current state and of all checkpoints, the newest first. */
async function readValues(client: Client, id: string, channels?: string[]) {
  const { thread } = await client.gql(VALUES, { id, channels });
  return [thread?.state, ...(thread?.history.nodes ?? [])].map((state) => state?.values as object);
}

const SIZES = operation(`query ($id: ID!) {
  thread(id: $id) { state { channels { name bytes } } history(first: 100) { nodes { channels { name bytes } } } }
}`);

const LARGE = 'x'.repeat(100_000);

describe('values(channels:) of a checkpoint', () => {
  it.for([
    ['fanOut', { jobs: ['a', 'b'] }, ['log', 'missing']],
    ['halfFail', {}, ['log']],
    ['nested', {}, ['log']],
    ['delta', {}, ['messages']],
    ['sendAsk', { jobs: ['a'] }, ['jobs']],
  ] as const)('has only these channels, as in the whole values: %s', async (of, { client }) => {
    const [assistantId, input, channels] = of;
    const id = await threadAfter(client, assistantId, input);
    const whole = await readValues(client, id);
    const expected = whole.map((values) =>
      Object.fromEntries(Object.entries(values).filter(([key]) => channels.includes(key as never))),
    );
    expect(expected.filter((values) => Object.keys(values).length > 0)).not.toEqual([]);
    expect(await readValues(client, id, [...channels])).toEqual(expected);
  });

  it('reads only these channels', async ({ client, server }) => {
    const id = await threadAfter(client, 'fanOut', { jobs: [LARGE] });
    const read = () => readValues(client, id, ['log']);
    const { result, chars } = await measureValueReads(server, read);
    expect(result[0]).toEqual({ log: ['plan', `work ${LARGE}`, 'done'] });
    expect(chars).toBeGreaterThan(LARGE.length);
    const none = await measureValueReads(server, () => readValues(client, id, ['missing']));
    expect(none.chars).toBeLessThan(LARGE.length);
  });

  it('stays whole for a graph whose state has no channels', async ({ client }) => {
    const id = await threadAfter(client, 'nothing', {});
    expect((await readValues(client, id, ['log']))[0]).toEqual((await readValues(client, id))[0]);
  });

  it('refuses an empty list', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {});
    const [error] = await client.errors(VALUES, { id, channels: [] });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'channels' });
  });
});

describe('channels of a checkpoint', () => {
  it('have the sizes of their JSON, the largest first', async ({ client, server }) => {
    const id = await threadAfter(client, 'fanOut', { jobs: [LARGE, 'b'] });
    const read = () => client.gql(SIZES, { id });
    const { result, chars } = await measureValueReads(server, read);
    expect(chars).toBeLessThan(LARGE.length);
    const [current, ...history] = [result.thread?.state, ...(result.thread?.history.nodes ?? [])];
    expect(current?.channels.map(({ name }) => name)).toEqual(['jobs', 'log'].toReversed());
    const [log, jobs] = current?.channels ?? [];
    // Elements of a list are stored without their commas and brackets.
    expect(jobs?.bytes).toBe(JSON.stringify(LARGE).length + JSON.stringify('b').length);
    expect(log?.bytes).toBeGreaterThan(LARGE.length);
    expect(history.at(0)).toEqual(current);
    expect(history.at(-1)?.channels).toEqual([]);
  });
});
