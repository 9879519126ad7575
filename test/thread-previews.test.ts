import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import { CREATE_THREAD, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { watchStatements } from './support/queries.ts';
import { selectThread } from './support/select-thread.ts';

// For messages that are stored in parts.
it.override('settings', { bodyLimitBytes: 4_000_000 });

const LIST = operation(`query ($filter: ThreadFilter) {
  threads(filter: $filter, first: 100) {
    nodes { id graphId preview { title lastText lastType } lastRun { id status durationMs } }
  }
}`);

const list = async (client: Client, metadata: Record<string, unknown>) =>
  (await client.gql(LIST, { filter: { metadata } })).threads.nodes;

const preview = async (client: Client, id: string) =>
  (await selectThread(client, id, 'preview { title lastText lastType }')).preview;

interface Message {
  type: string;
  content: unknown;
}

/** Creates a thread with these messages, by one superstep. */
async function threadWith(client: Client, messages: Message[], metadata = {}): Promise<string> {
  const supersteps = [{ updates: [{ asNode: 'echo', values: { messages } }] }];
  const input = { graphId: 'echo', metadata, supersteps };
  return (await client.gql(CREATE_THREAD, { input })).createThread.id;
}

const says = (type: string, content: unknown): Message => ({ type, content });

describe('The preview of a thread', () => {
  it('shows the first human message and the last message', async ({ client }) => {
    const threadId = await client.createThread();
    expect(await preview(client, threadId)).toBeNull();
    for (const text of ['Where is Rome?', 'And Paris?'])
      await client.runToEnd({ threadId, assistantId: 'echo', input: human(text) });
    expect(await preview(client, threadId)).toEqual({
      title: 'Where is Rome?',
      lastText: 'echo: And Paris?',
      lastType: 'AI',
    });
  });

  it('skips what has no text: a system message before, a tool call after', async ({ client }) => {
    const blocks = [
      { type: 'image_url', image_url: 'data:,' },
      { type: 'text', text: ' a picture ' },
    ];
    const id = await threadWith(client, [
      says('system', 'You are kind.'),
      says('human', blocks),
      says('ai', 'Let me look.'),
      says('ai', ''),
    ]);
    expect(await preview(client, id)).toEqual({
      title: 'a picture',
      lastText: 'Let me look.',
      lastType: 'AI',
    });
  });

  it('cuts long texts at 200 characters, and leaves out a message of more than 64 KB', async ({
    client,
  }) => {
    const id = await threadWith(client, [
      says('human', '😀'.repeat(150)),
      says('ai', 'short'),
      says('human', 'x'.repeat(70_000)),
    ]);
    const shown = await preview(client, id);
    expect(shown).toEqual({ title: `${'😀'.repeat(99)}…`, lastText: 'short', lastType: 'AI' });
    const huge = says('human', 'x'.repeat(2_500_000));
    const nothing = { title: null, lastText: null, lastType: null };
    expect(await preview(client, await threadWith(client, [huge]))).toEqual(nothing);
    const between = await threadWith(client, [says('human', 'first'), says('ai', 'old'), huge]);
    expect(await preview(client, between)).toEqual({ ...nothing, title: 'first' });
    const before = await threadWith(client, [huge, says('ai', 'an answer')]);
    const answer = { lastText: 'an answer', lastType: 'AI' };
    expect(await preview(client, before)).toEqual({ title: null, ...answer });
  });

  it('is null where the state has no list of messages', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'steps', input: {} });
    expect(await preview(client, threadId)).toBeNull();
  });

  it('shows the ends of a conversation of many messages at once', async ({ client }) => {
    const many = Array.from({ length: 500 }, (_, n) =>
      says(n % 2 ? 'ai' : 'human', `message ${n}`),
    );
    expect(await preview(client, await threadWith(client, many))).toEqual({
      title: 'message 0',
      lastText: 'message 499',
      lastType: 'AI',
    });
  });
});

describe('A list of threads with previews and last runs', () => {
  it('names the graph, and the newest run that is not deleted', async ({ client }) => {
    const mark = randomId();
    const threadId = await client.createThread({ metadata: { mark } });
    const empty = { graphId: null, preview: null, lastRun: null };
    expect(await list(client, { mark })).toEqual([{ id: threadId, ...empty }]);
    const first = await client.runToEnd({ threadId, assistantId: 'echo', input: human('a') });
    const second = await client.runToEnd({ threadId, assistantId: 'fail', input: { fail: true } });
    expect(await list(client, { mark })).toMatchObject([
      { graphId: 'fail', lastRun: { id: second.id, status: 'ERROR' } },
    ]);
    await client.gql(operation(`mutation ($id: ID!) { deleteRun(id: $id) }`), { id: second.id });
    expect(await list(client, { mark })).toMatchObject([
      { lastRun: { id: first.id, status: 'SUCCESS' } },
    ]);
  });

  it('needs the same few statements for one thread as for many, and no whole state', async ({
    client,
    server,
  }) => {
    const [one, many] = [randomId(), randomId()];
    const long = Array.from({ length: 300 }, (_, n) => says('human', `${n} ${'x'.repeat(3000)}`));
    for (const mark of [one, ...Array<string>(20).fill(many)])
      await threadWith(client, long, { mark });
    const seen = watchStatements(server);
    const measure = async (mark: string) => {
      const before = { ...seen };
      const nodes = await list(client, { mark });
      return {
        threads: nodes.length,
        statements: seen.statements - before.statements,
        rows: seen.rows - before.rows,
      };
    };
    const [single, all] = [await measure(one), await measure(many)];
    expect(single).toMatchObject({ threads: 1, statements: 4 });
    expect(all).toMatchObject({ threads: 20, statements: 4 });
    expect(all.rows).toBeLessThan(20 * 10);
    expect((await list(client, { mark: many }))[0]?.preview?.title).toMatch(/^0 x+…$/);
  });
});
