import path from 'node:path';
import { describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import { CREATE_THREAD, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';

it.override('settings', {
  graphsFile: path.join(import.meta.dirname, 'support/limit-graphs.json'),
});

const UPDATE_STATE = operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { values }
}`);
const VALUES = operation(`query ($id: ID!) { thread(id: $id) { values } }`);

const human = (content: string) => ({ type: 'human', content });
const messages = (count: number) => Array.from({ length: count }, (_, n) => human(String(n)));
const asInput = { updates: [{ values: {}, asNode: '__input__' }] };
const said = (list: object[]) => ({ updates: [{ asNode: 'grow', values: { messages: list } }] });

/** Sends small queries until the work is done. Returns the number of their answers. */
async function answersDuring(client: Client, work: Promise<unknown>): Promise<number> {
  let isOver = false;
  const over = work.finally(() => (isOver = true));
  let answers = 0;
  for (;;) {
    await client.gql('{ __typename }');
    if (isOver) break;
    answers += 1;
  }
  await over;
  return answers;
}

describe('Supersteps', () => {
  it('that take too much work are refused before any of it is done', async ({ client }) => {
    // Below the limit of a body: 12,000 messages, and 95 supersteps. Each superstep reads and stores all of them again.
    const supersteps = [asInput, said(messages(12_000))];
    for (let n = 0; n < 95; n++) supersteps.push(said([human(`more ${n}`)]));
    const id = randomId();
    const errors = await client.errors(CREATE_THREAD, {
      input: { id, graphId: 'growing', supersteps },
    });
    expect(errors).toMatchObject([
      {
        message: expect.stringMatching(
          /^input\.supersteps write \d+ values.*at most 500000 are allowed\. SUPERSTEP_LIMIT sets the limit\.$/,
        ),
        extensions: { code: 'BAD_USER_INPUT', argument: 'input.supersteps' },
      },
    ]);
    expect((await client.gql(VALUES, { id })).thread).toBeNull();
  });

  it('below the limit build a state step by step', { timeout: 120_000 }, async ({ client }) => {
    const supersteps = [asInput, said(messages(1000))];
    for (let n = 0; n < 20; n++) supersteps.push(said([human(`more ${n}`)]));
    const creating = client.gql(CREATE_THREAD, { input: { graphId: 'growing', supersteps } });
    expect(await answersDuring(client, creating)).toBeGreaterThan(20);
    const { createThread: thread } = await creating;
    expect(valuesOf(thread.values).messages).toHaveLength(1020);
  });
});

describe('An edit of a large value', () => {
  it.for([
    ['by updateThreadState', 'edit'],
    ['by a superstep', 'create'],
  ])(
    'is stored in several turns of the event loop %s',
    { timeout: 120_000 },
    async ([_how, how], { client }) => {
      const length = 100_000;
      const write = { asNode: 'write', values: { list: length } };
      const supersteps = how === 'create' ? [{ updates: [write] }] : [asInput];
      const { createThread: thread } = await client.gql(CREATE_THREAD, {
        input: { graphId: 'slow', supersteps },
      });
      if (how === 'edit') await client.gql(UPDATE_STATE, { id: thread.id, input: write });
      const { thread: stored } = await client.gql(VALUES, { id: thread.id });
      const list = valuesOf(stored?.values)['list'] as { turn: number }[];
      expect(list).toHaveLength(length);
      const turns = new Set(list.map(({ turn }) => turn));
      expect(turns.size).toBeGreaterThan(3);
    },
  );
});
