import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, vi } from 'vitest';
import { randomId, type TestApp } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { intercept } from './support/queries.ts';
import { selectThread } from './support/select-thread.ts';

it.override('settings', {
  graphsFile: path.join(import.meta.dirname, 'support/value-graphs.json'),
  costLimit: 100_000_000,
});

const HISTORY = `history(first: 100) { nodes {
  checkpointId parentCheckpointId source createdAt runId
  messages(last: 1000) { messageId createdAt runId checkpointBefore { checkpointId } }
} }` as const;

async function historyOf(client: Client, threadId: string) {
  const { history } = await selectThread(client, threadId, HISTORY);
  return history.nodes;
}

type Node = Awaited<ReturnType<typeof historyOf>>[number];

/** The entries of the messages of a checkpoint, by a walk through its parents. */
function entriesOf(node: Node, nodes: readonly Node[]) {
  const parentOf = ({ parentCheckpointId: id }: Node) =>
    nodes.find(({ checkpointId }) => checkpointId === id);
  const holds = (each: Node | undefined, id: string | null) =>
    each?.messages.some(({ messageId }) => messageId === id) ?? false;
  return node.messages.map(({ messageId }) => {
    let entry = node;
    for (let each: Node | undefined = node; each && holds(each, messageId); each = parentOf(each))
      entry = each;
    let start = parentOf(entry);
    while (start?.source === 'FORK') start = parentOf(start);
    const before =
      (start?.source === 'INPUT' && start.parentCheckpointId) || (start?.checkpointId ?? null);
    return {
      messageId,
      createdAt: entry.createdAt,
      runId: entry.runId,
      checkpointBefore: before === null ? null : { checkpointId: before },
    };
  });
}

async function expectEntries(client: Client, threadId: string): Promise<void> {
  const nodes = await historyOf(client, threadId);
  for (const node of nodes) expect(node.messages).toEqual(entriesOf(node, nodes));
}

/** A change of a thread by the graph `messages`. */
interface Change {
  messages: unknown[];
  by: 'run' | 'edit' | 'exit';
  /** The change starts from one of the checkpoints. Undefined: from the newest. */
  from?: number | undefined;
}

async function apply(client: Client, threadId: string, { messages, by, from }: Change) {
  const nodes = from === undefined ? [] : await historyOf(client, threadId);
  const checkpointId = from === undefined ? null : nodes[from % nodes.length]?.checkpointId;
  if (by === 'edit') {
    const input = { checkpointId, values: { messages }, asNode: '__start__' };
    // Refused, without a change, on the input of a failed removal: the removal fails again.
    const { errors = [] } = await client.request(EDIT, { id: threadId, input });
    for (const { extensions } of errors) expect(extensions['argument']).toBe('input.values');
    return;
  }
  await client.runToEnd({
    assistantId: 'messages',
    threadId,
    ifThreadMissing: 'CREATE',
    durability: by === 'exit' ? 'EXIT' : 'ASYNC',
    checkpointId,
    input: { messages },
  });
}

const EDIT = operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { checkpointId }
}`);

const said = fc.record({
  type: fc.constantFrom('human', 'ai'),
  id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  content: fc.string({ maxLength: 10 }),
});
const removed = fc.record({
  type: fc.constant('remove'),
  id: fc.constantFrom('a', 'b', '__remove_all__'),
});
/** Short messages: many at once share items. */
const many = fc
  .tuple(fc.nat({ max: 100 }), fc.integer({ min: 33, max: 60 }))
  .map(([from, length]) =>
    Array.from({ length }, (_, i) => ({ type: 'human', id: `${from + i}`, content: `${i}` })),
  );
const from = fc.option(fc.nat(), { nil: undefined, freq: 3 });
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      messages: fc.oneof(fc.array(said, { minLength: 1, maxLength: 3 }), many),
      by: fc.constantFrom('run', 'run', 'edit', 'exit'),
      from,
    }),
  },
  // A removal of a missing message fails: the run then leaves no new messages.
  {
    weight: 1,
    arbitrary: fc.record({ messages: removed.map((each) => [each]), by: fc.constant('run'), from }),
  },
);

describe('The first checkpoint with a message', () => {
  it('is the first of the branch from which on all states have the message, for every history', async ({
    client,
  }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 2, maxLength: 8 }), async (changes) => {
        const threadId = randomId();
        await apply(client, threadId, {
          messages: [{ type: 'human', id: 'a', content: 'hello' }],
          by: 'run',
        });
        for (const each of changes) await apply(client, threadId, each);
        await expectEntries(client, threadId);
      }),
      { numRuns: 15 },
    );
  }, 300_000);

  it('is the same in a copy of the thread', async ({ client }) => {
    const threadId = randomId();
    for (const content of ['one', 'two']) {
      const messages = [{ type: 'human', id: content, content }];
      await apply(client, threadId, { messages, by: 'run' });
    }
    const copy = await client.copyThread(threadId);
    expect(await historyOf(client, copy)).toEqual(await historyOf(client, threadId));
  });

  it('names the run until the deletion of the run', async ({ client }) => {
    const threadId = randomId();
    await apply(client, threadId, { messages: [{ type: 'human', content: 'hi' }], by: 'run' });
    const fields = 'messages { runId run { id status } checkpointBefore { source } }' as const;
    const [message] = (await selectThread(client, threadId, fields)).messages;
    expect(message).toEqual({
      runId: expect.any(String),
      run: { id: message?.runId, status: 'SUCCESS' },
      checkpointBefore: { source: 'INPUT' },
    });
    await client.gql(operation(`mutation ($id: ID!) { deleteRun(id: $id) }`), {
      id: message?.runId ?? '',
    });
    const [after] = (await selectThread(client, threadId, fields)).messages;
    expect(after).toEqual({ ...message, run: null });
  });

  it('is null before a checkpoint has the message, and for a message without an id', async ({
    client,
  }) => {
    const threadId = randomId();
    const start = { assistantId: 'spliced', threadId, ifThreadMissing: 'CREATE' as const };
    const splices = [{ at: 0, remove: 0, insert: [{ chars: 9 }, { other: { content: 'no id' } }] }];
    await client.runToEnd({ ...start, input: { turn: 1, stops: true, splices } });
    const { messages } = await selectThread(
      client,
      threadId,
      'messages { messageId createdAt runId checkpointBefore { step } }',
    );
    const unknown = { createdAt: null, runId: null, checkpointBefore: null };
    expect(messages).toEqual([
      {
        messageId: '1.0.0',
        createdAt: expect.any(String),
        runId: expect.any(String),
        checkpointBefore: { step: 0 },
      },
      { messageId: null, ...unknown },
      { messageId: 'beside', ...unknown },
    ]);
  });

  it('takes two statements for a list, with the checkpoints before', async ({ client, server }) => {
    const threadId = randomId();
    for (let turn = 0; turn < 30; turn++) {
      const messages = ['human', 'ai'].map((type) => ({
        type,
        id: `${type} ${turn}`,
        content: 'hi',
      }));
      await apply(client, threadId, { messages, by: 'run' });
    }
    const count = (fields: string) =>
      countStatements(
        server,
        `{ thread(id: "${threadId}") { messages(last: 50) { text ${fields} } } }`,
      );
    const alone = await count('');
    expect(await count('createdAt runId checkpointBefore { checkpointId }')).toBe(alone + 2);
    expect(await count('createdAt runId')).toBe(alone + 1);
  });
});

/** The number of statements that read a state during a query. */
async function countStatements(server: TestApp, query: string): Promise<number> {
  const { sql } = server.app;
  let statements = 0;
  const send = sql.query.bind(sql);
  const counting = intercept(send, ({ text }, sent) => {
    if (/"(Checkpoint|ChannelValue|ChannelItem)"/.test(text)) statements += 1;
    return sent();
  });
  const spy = vi.spyOn(sql, 'query').mockImplementation(counting);
  try {
    await server.gql(query);
    return statements;
  } finally {
    spy.mockRestore();
  }
}
