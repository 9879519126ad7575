import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestApp, randomId, type TestApp } from './support/app.ts';
import type { Insertion, Splice } from './support/value-graphs.ts';
import { measureValueReads } from './support/queries.ts';

let server: TestApp;
beforeAll(async () => {
  const graphsFile = path.join(import.meta.dirname, 'support/value-graphs.json');
  // Some histories of generated messages have more than the default.
  server = await createTestApp({ graphsFile, answerLimitBytes: 268_435_456 });
});
afterAll(() => server.stop());

const MESSAGE = `{
  messageId type name content text toolCallId responseMetadata additionalKwargs
  toolCalls { toolCallId name args } toolCallChunks { index toolCallId name args }
  usage { inputTokens outputTokens totalTokens }
}`;

const RUN = `mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) {
    id status error { message } thread { id messages(last: 1000) ${MESSAGE} state { messages(last: 1000) ${MESSAGE} } }
  }
}`;

/** Lets a graph keep these messages. Returns its run and the messages of the state. */
async function keep(assistantId: string, messages: readonly unknown[]): Promise<any> {
  const { createRun: run } = await server.gql(RUN, {
    input: {
      assistantId,
      input: { messages },
      threadId: randomId(),
      ifThreadMissing: 'CREATE',
      streamModes: ['MESSAGES', 'VALUES', 'UPDATES'],
    },
  });
  expect(run).toMatchObject({ status: 'SUCCESS', error: null });
  expect(run.thread.state.messages).toEqual(run.thread.messages);
  return { id: run.id, messages: run.thread.messages };
}

const EMPTY = {
  messageId: null,
  type: 'OTHER',
  name: null,
  content: '',
  text: '',
  toolCallId: null,
  responseMetadata: {},
  additionalKwargs: {},
  toolCalls: [],
  toolCallChunks: [],
  usage: null,
};

const NO_TOKENS = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };

const used = (usage_metadata: unknown) => ({ type: 'ai', content: '', usage_metadata });
const counted = (usage: object) => ({ ...EMPTY, type: 'AI', usage: { ...NO_TOKENS, ...usage } });

/** LangChain makes prototypes of these. */
const PROTOTYPES: any[] = [[], { constructor: [] }].map((prototype) => ({
  type: 'system',
  content: '',
  tool_call_id: 'a',
  tool_calls: [{ name: Object.fromEntries([['__proto__', prototype]]) }],
}));

describe('A stored message', () => {
  it.each<[string, object, object]>([
    ['an object as id', { id: {} }, EMPTY],
    ['a fractional id', { id: 1.5 }, EMPTY],
    ['a whole number as id', { id: 7 }, { ...EMPTY, messageId: '7' }],
    ['an object as name', { name: {} }, EMPTY],
    ['a name that is true', { name: true }, EMPTY],
    ['no known type', { type: 'constructor' }, EMPTY],
    ['an object as type', { type: { toString: 1 } }, EMPTY],
    ['no content', { content: null }, EMPTY],
    ['a number as content', { content: 5 }, { ...EMPTY, content: 5 }],
    ['an object as content', { content: { text: 'a' } }, { ...EMPTY, content: { text: 'a' } }],
    [
      'blocks without text',
      { content: [null, 1, { text: {} }, [['a']], 'b', { text: 'c' }] },
      { ...EMPTY, content: [null, 1, { text: {} }, [['a']], 'b', { text: 'c' }], text: 'bc' },
    ],
    ['a list as the id of its call', { tool_call_id: [1] }, EMPTY],
    ['metadata that are no objects', { response_metadata: [], additional_kwargs: 'a' }, EMPTY],
    ['calls that are no list', { tool_calls: { a: 1 }, tool_call_chunks: 'a' }, EMPTY],
    ['calls that are no objects', { tool_calls: [null, 1, 'a', [{}]] }, EMPTY],
    [
      'calls with fields of other types',
      { tool_calls: [{ id: {}, name: 7, args: 'a' }, {}] },
      {
        ...EMPTY,
        toolCalls: [
          { toolCallId: null, name: '', args: 'a' },
          { toolCallId: null, name: '', args: null },
        ],
      },
    ],
    [
      'pieces of calls with fields of other types',
      { tool_call_chunks: [null, { index: '0', id: [], name: {}, args: {} }, { index: 2 ** 31 }] },
      {
        ...EMPTY,
        toolCallChunks: Array.from({ length: 2 }, () => ({
          index: null,
          toolCallId: null,
          name: null,
          args: null,
        })),
      },
    ],
    ['a text as usage', used('many'), { ...EMPTY, type: 'AI' }],
    ['counts of tokens that are text', used({ input_tokens: '7' }), counted({})],
    [
      'fractional counts',
      used({ input_tokens: 0.5, output_tokens: 3 }),
      counted({ outputTokens: 3 }),
    ],
    ['counts beyond an Int', used({ total_tokens: 1e30, input_tokens: 2 ** 31 }), counted({})],
    ['counts that are lists', used({ total_tokens: [7] }), counted({})],
  ])('with %s is read, and the field is null or empty', async (_kind, fields, shown) => {
    const { messages } = await keep('raw', [{ content: null, ...fields }]);
    expect(messages).toEqual([shown]);
  });

  it('may have the keys of an object of LangChain', async () => {
    const like = { lc_namespace: [], content: 'a', getType: 'ai', _getType: {}, toJSON: 1 };
    const { messages } = await keep('raw', [like, { ...like, type: 'human' }]);
    expect(messages).toEqual([
      { ...EMPTY, content: 'a', text: 'a' },
      { ...EMPTY, type: 'HUMAN', content: 'a', text: 'a' },
    ]);
  });

  it('is read whatever JSON its fields hold', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(storedMessage, { maxLength: 60 }), async (stored) => {
        const { messages } = await keep('raw', stored);
        expect(messages).toHaveLength(stored.length);
      }),
      { numRuns: 15 },
    );
  });

  it(
    'of a class of LangChain is read, and told, whatever JSON its fields hold',
    { timeout: 300_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(classMessage, { minLength: 1, maxLength: 20 }), async (given) => {
          const { id, messages } = await keep('messages', given);
          expect(messages.length).toBeGreaterThan(0);
          const told = await server.gql(
            `query ($id: ID!) { run(id: $id) { events(first: 100) { nodes {
              ... on MessagesEvent { message ${MESSAGE} } ... on ValuesEvent { values } } } } }`,
            { id },
          );
          expect(told.run.events.nodes.length).toBeGreaterThan(0);
        }),
        { numRuns: 15, examples: PROTOTYPES.map((each) => [[each]]) },
      );
    },
  );
});

/** Names of inherited properties, and names with a meaning in LangChain. */
const key = fc.constantFrom('__proto__', 'constructor', 'toString', 'toJSON', 'lc', 'type', 'id');
const json = fc.oneof(
  { weight: 4, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  { weight: 1, arbitrary: fc.dictionary(key, fc.jsonValue({ maxDepth: 1 })) },
);
const count = fc.oneof(
  fc.double({ noNaN: true }),
  fc.constantFrom(1e30, -1, '7', null, 2 ** 31),
  json,
);
const call = fc.oneof(json, anyOf({ id: json, name: json, args: json, index: count, type: json }));
const calls = fc.oneof(json, fc.array(call, { maxLength: 3 }));
const usage = fc.oneof(
  json,
  anyOf({ input_tokens: count, output_tokens: count, total_tokens: count }),
);

const FIELDS = {
  id: json,
  name: json,
  tool_call_id: json,
  tool_calls: calls,
  tool_call_chunks: calls,
  invalid_tool_calls: calls,
  usage_metadata: usage,
  response_metadata: json,
  additional_kwargs: json,
  status: json,
  artifact: json,
};

const storedMessage = fc.record(
  { ...FIELDS, content: json, type: fc.oneof(json, fc.constantFrom('ai', 'human', 'tool')) },
  { requiredKeys: ['content'] },
);

/** LangChain makes messages of these forms. It ignores or refuses every form besides them. */
const classMessage = fc.record(
  {
    ...FIELDS,
    tool_call_id: fc.oneof(json, fc.constant('a')).map((id) => id ?? 'a'),
    tool_calls: fc.array(anyOf({ id: json, name: json, args: json }), { maxLength: 3 }),
    response_metadata: fc.dictionary(fc.string(), json),
    content: fc.string(),
    type: fc.constantFrom('ai', 'human', 'tool', 'system'),
  },
  { requiredKeys: ['content', 'type', 'tool_calls', 'tool_call_id'] },
);

function anyOf(fields: Record<string, fc.Arbitrary<unknown>>) {
  return fc.record(fields, { requiredKeys: [] });
}

describe('The newest messages of a thread', () => {
  const SPLICE = `mutation ($input: CreateRunInput!) { createRun(input: $input, wait: true) { status error { message } } }`;

  async function splice(threadId: string, turn: number, splices: Splice[], stops = false) {
    const input = { splices, turn, stops };
    const request = { assistantId: 'spliced', threadId, ifThreadMissing: 'CREATE', input };
    const { createRun: run } = await server.gql(SPLICE, { input: request });
    expect(run).toEqual({ status: stops ? 'INTERRUPTED' : 'SUCCESS', error: null });
  }

  /** Returns the newest messages alone, and as a part of the whole state. */
  async function read(threadId: string, last: number) {
    const shown = `messages(last: $last) { messageId type text content }`;
    const [alone, beside] = await Promise.all(
      [shown, `${shown} values`].map((fields) =>
        server.gql(
          `query ($id: ID!, $last: Int!) { thread(id: $id) {
            ${fields} state { ${fields} } history(first: 6) { nodes { ${fields} } } } }`,
          { id: threadId, last },
        ),
      ),
    );
    return { alone: alone.thread, beside: beside.thread };
  }

  const withoutValues = (state: any) => ({ ...state, values: undefined });

  async function expectTheEnd(threadId: string, last: number): Promise<void> {
    const { alone, beside } = await read(threadId, last);
    const states = [beside, beside.state, ...beside.history.nodes];
    for (const { messages, values } of states) {
      const all = (values.messages ?? []).filter((each: any) => 'content' in Object(each));
      expect(messages.map(({ content }: any) => content)).toEqual(
        all.slice(-last).map(({ content }: any) => content),
      );
    }
    expect([alone, alone.state, ...alone.history.nodes].map(({ messages }) => messages)).toEqual(
      states.map((state) => withoutValues(state).messages),
    );
  }

  it(
    'are the end of the list, however that has changed and is stored',
    { timeout: 600_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(splices, { minLength: 1, maxLength: 3 }), {
            minLength: 1,
            maxLength: 3,
          }),
          fc.constantFrom(1, 2, 7, 40, 1000),
          fc.boolean(),
          async (turns, last, stops) => {
            const threadId = randomId();
            for (const [turn, each] of turns.entries())
              await splice(threadId, turn, each, stops && turn === turns.length - 1);
            await expectTheEnd(threadId, last);
          },
        ),
        { numRuns: 25 },
      );
    },
  );

  it('are those of the state also where a command has updated it', async () => {
    const threadId = randomId();
    await splice(threadId, 1, [{ at: 0, remove: 0, insert: [{ chars: 5 }, { chars: 5 }] }]);
    const messages = [{ type: 'human', content: 'of the command' }];
    for (const command of [{ update: { messages } }, { update: { turn: 2 } }]) {
      const input = { assistantId: 'spliced', threadId, command };
      await server.gql(SPLICE, { input });
      await expectTheEnd(threadId, 2);
    }
  });
});

const small = fc.record({ chars: fc.integer({ min: 0, max: 300 }), isMessage: fc.boolean() });
const large = fc.record({ chars: fc.integer({ min: 2000, max: 9000 }), isMessage: fc.boolean() });
/** Takes several items. */
const huge = fc.record({ chars: fc.constantFrom(1_100_000, 2_200_000) });
const noMessage = fc.record({
  other: fc.constantFrom<unknown>(1, 'text', null, [], [[{ content: 'within' }]], { a: 1 }),
});
const inserted: fc.Arbitrary<Insertion[]> = fc.oneof(
  { weight: 4, arbitrary: fc.array(small, { maxLength: 4 }) },
  { weight: 2, arbitrary: fc.array(fc.oneof(small, large, noMessage), { maxLength: 6 }) },
  { weight: 2, arbitrary: fc.array(small, { minLength: 33, maxLength: 120 }) },
  { weight: 1, arbitrary: fc.array(noMessage, { minLength: 1, maxLength: 50 }) },
  { weight: 1, arbitrary: fc.array(huge, { minLength: 1, maxLength: 1 }) },
);
const splices: fc.Arbitrary<Splice> = fc.record({
  at: fc.oneof(fc.constant(10_000), fc.nat({ max: 100 })),
  remove: fc.oneof(fc.constant(0), fc.nat({ max: 5 })),
  insert: inserted,
});

describe('A thread of 5,000 messages', () => {
  const MESSAGES = 5000;
  let threadId: string;
  beforeAll(async () => {
    threadId = randomId();
    for (const turn of [1, 2]) {
      const insert = Array.from({ length: MESSAGES / 2 }, () => ({ chars: 300 }));
      await server.gql(
        `mutation ($input: CreateRunInput!) { createRun(input: $input, wait: true) { status } }`,
        {
          input: {
            assistantId: 'spliced',
            threadId,
            ifThreadMissing: 'CREATE',
            input: { turn, stops: false, splices: [{ at: MESSAGES, remove: 0, insert }] },
          },
        },
      );
    }
  }, 300_000);

  /** Returns the rows and characters of the statements for stored values during a request. */
  async function gives(fields: string): Promise<{ thread: any; rows: number; chars: number }> {
    const document = `query ($id: ID!) { thread(id: $id) { ${fields} } }`;
    const { result, ...read } = await measureValueReads(server, () =>
      server.gql(document, { id: threadId }),
    );
    return { thread: result.thread, ...read };
  }

  it.each<[string, (thread: any) => any[]]>([
    ['messages(last: 2) { messageId }', ({ messages }) => messages],
    ['state { messages(last: 2) { messageId } }', ({ state }) => state.messages],
    [
      'history(first: 1) { nodes { messages(last: 2) { messageId } } }',
      ({ history }) => history.nodes[0].messages,
    ],
  ])('gives only the end of its list for %s', async (fields, messagesOf) => {
    const whole = await gives(`values ${fields}`);
    expect(whole.chars).toBeGreaterThan(300 * MESSAGES);
    const end = await gives(fields);
    expect(messagesOf(end.thread)).toEqual(messagesOf(whole.thread));
    expect(messagesOf(end.thread)).toEqual([
      { messageId: `2.0.${MESSAGES / 2 - 2}` },
      { messageId: `2.0.${MESSAGES / 2 - 1}` },
    ]);
    expect(end.rows).toBeLessThan(15);
    expect(end.chars).toBeLessThan(150_000);
  });

  it('gives only the ends of its lists for a history with a checkpoint from before the first message', async () => {
    const fields = 'history(first: 100) { nodes { messages(last: 2) { messageId } } }';
    const end = await gives(fields);
    expect(end.thread.history.nodes.at(-1)).toEqual({ messages: [] });
    const whole = await gives(`${fields} also: history(first: 100) { nodes { values } }`);
    expect(end.thread.history).toEqual(whole.thread.history);
    expect(whole.chars).toBeGreaterThan(300 * MESSAGES);
    expect(end.chars).toBeLessThan(150_000);
  });
});

describe('The newest messages in a history', () => {
  it('count by the ends of their lists, but for a checkpoint that a command has updated', async () => {
    const graphsFile = path.join(import.meta.dirname, 'support/value-graphs.json');
    await using app = await createTestApp({ graphsFile, answerLimitBytes: 400_000 });
    const threadId = randomId();
    const say = (content: string, times = 1) =>
      Array.from({ length: times }, () => ({ type: 'human', content }));
    const run = async (work: object) => {
      const request = { assistantId: 'messages', threadId, ifThreadMissing: 'CREATE', ...work };
      const { createRun } = await app.gql(
        `mutation ($input: CreateRunInput!) { createRun(input: $input, wait: true) { status } }`,
        { input: request },
      );
      expect(createRun).toEqual({ status: 'SUCCESS' });
    };
    for (const n of [1, 2, 3, 4]) await run({ input: { messages: say(`${n}`.repeat(2500), 20) } });
    await run({ command: { update: { messages: say('of the command') } } });
    await run({ input: { messages: say('the last') } });

    const history = (fields: string) =>
      `query ($id: ID!) { thread(id: $id) { history(first: 100) { nodes { ${fields} } } } }`;
    const { thread } = await app.gql(history('messages(last: 1) { text }'), { id: threadId });
    const texts = thread.history.nodes.map(({ messages }: any) => messages[0]?.text.slice(0, 20));
    expect(texts.slice(0, 4)).toContain('the last');
    expect(texts).toContain('of the command');
    expect(texts.at(-1)).toBeUndefined();
    expect(await app.errors(history('values'), { id: threadId })).toMatchObject([
      { extensions: { code: 'ANSWER_TOO_LARGE' } },
    ]);
  });
});
