import path from 'node:path';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { randomId, type TestApp } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { measureValueReads } from './support/queries.ts';
import { selectThread } from './support/select-thread.ts';
import type { Insertion } from './support/value-graphs.ts';

it.override('settings', {
  graphsFile: path.join(import.meta.dirname, 'support/value-graphs.json'),
});

const PAGE = operation(`query ($id: ID!, $last: Int!, $before: ID) {
  thread(id: $id) { messages(last: $last, before: $before) { messageId text } }
}`);

async function page(
  client: Pick<Client, 'gql'>,
  id: string,
  { last, before }: { last: number; before?: string | null },
) {
  const { thread } = await client.gql(PAGE, { id, last, before });
  return thread?.messages ?? expect.fail(`No thread ${id}`);
}

/** Pages backwards through all messages, and returns their ids, oldest first. */
async function pageBack(client: Pick<Client, 'gql'>, id: string, last: number) {
  const pages: (string | null)[][] = [];
  let before: string | null = null;
  do {
    const messages = await page(client, id, { last, before });
    pages.unshift(messages.map(({ messageId }) => messageId));
    before = messages[0]?.messageId ?? null;
  } while (before !== null);
  return pages.flat();
}

/** Keeps these lists of messages, one run each, and returns the thread. */
async function keep(client: Client, ...turns: Insertion[][]): Promise<string> {
  const threadId = randomId();
  let at = 0;
  for (const [i, insert] of turns.entries()) {
    const input = { turn: i + 1, stops: false, splices: [{ at, remove: 0, insert }] };
    const request = { assistantId: 'spliced', threadId, ifThreadMissing: 'CREATE' as const };
    expect(await client.runToEnd({ ...request, input })).toMatchObject({ status: 'SUCCESS' });
    at += insert.length;
  }
  return threadId;
}

async function keepRaw(client: Client, messages: unknown[]): Promise<string> {
  const threadId = randomId();
  await client.runToEnd({
    assistantId: 'raw',
    threadId,
    ifThreadMissing: 'CREATE',
    input: { messages },
  });
  return threadId;
}

const missing = (id: string) => ({
  message: `No message of this state has the messageId "${id}".`,
  extensions: { code: 'BAD_USER_INPUT', argument: 'before' },
});

describe('A page of messages before a message', () => {
  it('leads through a list of 10,000 messages, and reads only its part of the list', async ({
    client,
    server,
  }) => {
    const insert = Array.from({ length: 2500 }, () => ({ chars: 300 }));
    const threadId = await keep(client, insert, insert, insert, insert);
    const ids = await pageBack(client, threadId, 1000);
    expect(ids).toEqual([1, 2, 3, 4].flatMap((turn) => insert.map((_, i) => `${turn}.0.${i}`)));
    const { messages, rows, chars } = await readPage(server, threadId, '1.0.3');
    expect(messages).toEqual(['1.0.1', '1.0.2']);
    expect(rows).toBeLessThan(15);
    expect(chars).toBeLessThan(50_000);
  }, 300_000);

  it('is the part of the list before the message, for lists of any form', async ({ client }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(inserted, { minLength: 1, maxLength: 3 }),
        fc.constantFrom(1, 3, 40, 1000),
        async (turns, last) => {
          const threadId = await keep(client, ...turns);
          const whole = await page(client, threadId, { last: 1000 });
          expect(await pageBack(client, threadId, last)).toEqual(
            whole.map(({ messageId }) => messageId),
          );
        },
      ),
      { numRuns: 15 },
    );
  }, 300_000);

  it('ends before the last message with this id, whatever else has the id', async ({ client }) => {
    const odd = 'a "quoted" id: \u2028 é';
    const threadId = await keepRaw(client, [
      { id: 'first', content: '1' },
      { id: 'twice', content: '2' },
      { id: 7, content: '3' },
      { id: odd, content: '4' },
      { id: 'twice', content: '5' },
      { id: 77, content: '6', tool_calls: [{ id: 'first', name: 'find', args: { id: 7 } }] },
      { content: `"id":"twice"` },
    ]);
    const textsBefore = async (before: string) =>
      (await page(client, threadId, { last: 2, before })).map(({ text }) => text);
    expect(await textsBefore('twice')).toEqual(['3', '4']);
    expect(await textsBefore('7')).toEqual(['1', '2']);
    expect(await textsBefore('77')).toEqual(['4', '5']);
    expect(await textsBefore(odd)).toEqual(['2', '3']);
    expect(await textsBefore('first')).toEqual([]);
  });

  it('reads messages of more than a megabyte', async ({ client }) => {
    const threadId = await keep(client, [
      { chars: 5 },
      { chars: 2_500_000 },
      { chars: 2_500_000, isMessage: true },
      { chars: 5 },
    ]);
    expect(await pageBack(client, threadId, 1)).toEqual(['1.0.0', '1.0.1', '1.0.2', '1.0.3']);
  });

  it('reads the list at a checkpoint, and the messages beside an open task', async ({ client }) => {
    const threadId = await keep(client, [{ chars: 9 }, { chars: 9 }]);
    await client.runToEnd({
      assistantId: 'spliced',
      threadId,
      input: { turn: 2, stops: true, splices: [{ at: 2, remove: 0, insert: [{ chars: 9 }] }] },
    });
    const { messages, history } = await selectThread(
      client,
      threadId,
      `messages(last: 2, before: "beside") { messageId }
       history(first: 2) { nodes { messages(before: "1.0.1") { messageId } } }`,
    );
    expect(messages).toEqual([{ messageId: '1.0.1' }, { messageId: '2.0.0' }]);
    expect(history.nodes).toEqual([
      { messages: [{ messageId: '1.0.0' }] },
      { messages: [{ messageId: '1.0.0' }] },
    ]);
  });

  it('is refused for an id that is not in the list', async ({ client }) => {
    const threadId = await keep(client, [{ chars: 9 }]);
    const variables = { id: threadId, last: 2, before: 'other' };
    expect(await client.errors(PAGE, variables)).toMatchObject([missing('other')]);
    const beside = `query ($id: ID!) { thread(id: $id) { values messages(before: "other") { text } } }`;
    expect(await client.errors(beside, { id: threadId })).toMatchObject([missing('other')]);
    const id = await client.createThread();
    expect(await client.errors(PAGE, { ...variables, id })).toMatchObject([missing('other')]);
    expect(await client.errors(PAGE, { id: threadId, last: 1001, before: '1.0.0' })).toMatchObject([
      { extensions: { argument: 'last' } },
    ]);
  });
});

const inserted: fc.Arbitrary<Insertion[]> = fc.oneof(
  fc.array(fc.record({ chars: fc.constantFrom(1, 300, 3000), isMessage: fc.boolean() }), {
    minLength: 1,
    maxLength: 6,
  }),
  fc.array(fc.record({ chars: fc.nat({ max: 300 }) }), { minLength: 33, maxLength: 80 }),
);

/** Reads two messages before a message. Counts the rows and characters of the statements for stored values. */
async function readPage(server: TestApp, id: string, before: string) {
  const { result, ...read } = await measureValueReads(server, () =>
    page(server, id, { last: 2, before }),
  );
  return { messages: result.map(({ messageId }) => messageId), ...read };
}
