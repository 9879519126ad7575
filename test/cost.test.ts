import { describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import { CREATE_THREAD, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';

const ID = randomId();

/** Returns code and message of the error. The server refuses the document before its execution. */
async function refusal(client: Client, document: string): Promise<[code: string, message: string]> {
  const { data, errors } = await client.request(document);
  expect(data ?? null).toBeNull();
  expect(errors).toHaveLength(1);
  return [errors?.[0]?.extensions['code'], String(errors?.[0]?.message)];
}

const refusedByCost = ['BAD_USER_INPUT', expect.stringContaining('COST_LIMIT sets the limit.')];

describe('The cost of an operation', () => {
  it('multiplies children within children', async ({ client }) => {
    const within = (levels: number): string =>
      levels === 0 ? 'step' : `parent { children(first: 100) { ${within(levels - 1)} } }`;
    expect(await refusal(client, `{ thread(id: "${ID}") { state { ${within(4)} } } }`)).toEqual(
      refusedByCost,
    );
  });

  it('multiplies a history within a history', async ({ client }) => {
    const history = (nodes: string) => `history(first: 100) { nodes { ${nodes} } }`;
    const document = `{ thread(id: "${ID}") { ${history(`thread { ${history('values')} }`)} } }`;
    expect(await refusal(client, document)).toEqual(refusedByCost);
  });

  it('counts each message that may be asked for', async ({ client }) => {
    const document = `{ threads(first: 100) { nodes { messages(last: 1000) { text } } } }`;
    expect(await refusal(client, document)).toEqual(refusedByCost);
  });

  it('counts ten for a field that reads a state', async ({ client }) => {
    const aliases = Array.from({ length: 50 }, (_, i) => `v${i}: values`).join(' ');
    const document = `{ threads(first: 100) { nodes { ${aliases} state { values } } } }`;
    expect(await refusal(client, document)).toEqual(refusedByCost);
  });
});

describe('children', () => {
  const CHILDREN = operation(`query ($id: ID!, $root: ID!, $first: Int! = 20, $after: ID) {
    thread(id: $id) { state(checkpointId: $root) { children(first: $first, after: $after) { checkpointId } } }
  }`);

  it('gives the forks of a checkpoint by pages, oldest first', async ({ client }) => {
    const supersteps = [{ updates: [{ values: {}, asNode: '__input__' }] }];
    const { createThread } = await client.gql(CREATE_THREAD, {
      input: { graphId: 'echo', supersteps },
    });
    const { id } = createThread;
    const { thread } = await client.gql(
      operation(`query ($id: ID!) { thread(id: $id) { state { checkpointId } } }`),
      { id },
    );
    const root = thread?.state?.checkpointId ?? expect.fail('No state');
    const forks: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { updateThreadState } = await client.gql(
        operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
          updateThreadState(id: $id, input: $input) { checkpointId }
        }`),
        { id, input: { checkpointId: root, asNode: 'echo', values: {} } },
      );
      forks.push(updateThreadState.checkpointId);
    }
    const read = async (page: object) => {
      const found = await client.gql(CHILDREN, { id, root, ...page });
      return (found.thread?.state?.children ?? []).map(({ checkpointId }) => checkpointId);
    };
    const all = await read({});
    expect(all).toEqual(forks);
    expect(await read({ first: 2 })).toEqual(all.slice(0, 2));
    expect(await read({ first: 2, after: all[1] })).toEqual(all.slice(2, 4));
    expect(await read({ first: 2, after: all.at(-1) })).toEqual([]);
    const [error] = await client.errors(CHILDREN, { id, root, after: randomId() });
    expect(error).toMatchObject({
      extensions: { code: 'BAD_USER_INPUT', argument: 'after' },
      message: expect.stringContaining('is not a child of this checkpoint'),
    });
  });
});
