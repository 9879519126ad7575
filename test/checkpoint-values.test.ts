import {
  AIMessage,
  AIMessageChunk,
  ChatMessage,
  FunctionMessage,
  HumanMessage,
  HumanMessageChunk,
  RemoveMessage,
  SystemMessage,
  ToolMessage,
  ToolMessageChunk,
} from '@langchain/core/messages';
import { FakeListChatModel } from '@langchain/core/utils/testing';
import { Annotation, START } from '@langchain/langgraph';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import type { CompiledGraph } from '../src/graphs/load.ts';
import { graphOf, it, type GraphRuns } from './support/graph-runs.ts';

const Anything = Annotation.Root({
  value: Annotation<unknown>(),
  list: Annotation<unknown>(),
  done: Annotation<boolean>(),
});

/** Stores a value in a channel, as an element of a list, and in an object. Returns the stored value of the channel. */
async function storeAndRead({ run, read }: GraphRuns, value: unknown): Promise<any> {
  const graph: CompiledGraph = graphOf(Anything)
    .addNode('write', () => ({ value, list: [value, { value }] }))
    .addNode('end', () => ({ done: true }))
    .addEdge(START, 'write')
    .addEdge('write', 'end')
    .compile();
  const { threadId } = await run(graph, { done: false });
  const { values } = await read(graph, threadId);
  expect(values.list).toEqual([values.value, { value: values.value }]);
  return values.value;
}

class Point {
  x = 1;
  y = 2;
  distance(): number {
    return this.x + this.y;
  }
}

const circular: Record<string, unknown> = {};
circular['self'] = { circular };

const call = { id: 'call', name: 'search', args: { query: 'ü', deep: { list: [1, null] } } };

describe('A value', () => {
  const DATE = new Date('2026-02-03T04:05:06.789Z');
  it.for<[string, unknown]>([
    ['text of every plane', 'aä€😀\u{10FFFF}\u{E000} 漢字 \u202E'],
    ['text with null bytes', 'a\0b\0'],
    ['text with a lone surrogate', 'a\uD800b'],
    ['an empty text', ''],
    ['bytes', new Uint8Array([0, 1, 255])],
    ['bytes within an object', { deep: [new Uint8Array([0, 128, 255])] }],
    ['numbers of other sizes', { a: new Float64Array([1.5, -0]), b: new Int16Array([-1, 300]) }],
    [
      'a map',
      new Map<unknown, unknown>([
        ['a', new Map([[1, { b: 2 }]])],
        [{ key: 1 }, DATE],
      ]),
    ],
    ['a set', new Set<unknown>(['a', 1, new Set([null])])],
    ['dates', { at: DATE, list: [DATE], never: new Date(Number.NaN) }],
    ['nothing within an object', { a: undefined, b: [undefined, null], c: null }],
    ['large integers', { big: 2n ** 200n, negative: -12345678901234567890n, list: [0n] }],
    ['numbers that JSON does not have', [Number.NaN, Infinity, -Infinity, -0, 1e308, 5e-324]],
    ['an expression', { pattern: /a+\/b/giu }],
    [
      'keys that mean something to JavaScript',
      JSON.parse('{"__proto__": {"a": 1}, "constructor": 1, "toString": 2}'),
    ],
    [
      'what looks like an object of a class',
      {
        lc: 1,
        type: 'constructor',
        id: ['langchain_core', 'messages', 'HumanMessage'],
        kwargs: { content: 'no' },
      },
    ],
    [
      'what looks like a record',
      {
        a: { lc: 2, type: 'undefined' },
        b: { lc: 2, type: 'constructor', id: ['Map'], args: [[]] },
      },
    ],
    ['lists in lists', [[], [[]], [[1], []]]],
  ])('survives: %s', async ([, value], { graphRuns }) => {
    expect(await storeAndRead(graphRuns, value)).toEqual(value);
  });

  it('survives as what it is: -0, and which property there is', async ({ graphRuns }) => {
    const value = await storeAndRead(graphRuns, { a: undefined, zero: -0 });
    expect(Object.keys(value)).toEqual(['a', 'zero']);
    expect(Object.is(value.zero, -0)).toBe(true);
    expect(value).toStrictEqual({ a: undefined, zero: -0 });
    expect((await storeAndRead(graphRuns, new Uint8Array([1]))).constructor).toBe(Uint8Array);
  });

  it.for([
    new HumanMessage({
      content: [
        { type: 'text', text: 'a' },
        { type: 'image_url', image_url: 'data:' },
      ],
      id: '1',
      name: 'Ann',
    }),
    new AIMessage({
      content: 'b',
      id: '2',
      tool_calls: [call],
      invalid_tool_calls: [{ id: 'x', args: '{', error: 'bad' }],
      usage_metadata: { input_tokens: 1, output_tokens: 2, total_tokens: 3 },
      response_metadata: { model: 'm' },
    }),
    new SystemMessage({ content: 'c', id: '3', additional_kwargs: { cache: true } }),
    new ToolMessage({
      content: 'd',
      id: '4',
      tool_call_id: 'call',
      status: 'error',
      artifact: { rows: [1, { a: null }] },
    }),
    new FunctionMessage({ content: 'e', id: '5', name: 'f' }),
    new ChatMessage({ content: 'f', id: '6', role: 'critic' }),
    new RemoveMessage({ id: '7' }),
    new HumanMessageChunk({ content: 'g', id: '8' }),
    new AIMessageChunk({
      content: 'h',
      id: '9',
      tool_call_chunks: [{ index: 0, id: 'call', name: 'search', args: '{"a"' }],
    }),
    new ToolMessageChunk({ content: 'i', id: '10', tool_call_id: 'call' }),
  ])('survives: $constructor.name', async (message, { graphRuns }) => {
    const value = await storeAndRead(graphRuns, message);
    expect(value).toBeInstanceOf(message.constructor);
    expect(value.toDict()).toEqual(message.toDict());
  });

  it('survives within a message', async ({ graphRuns }) => {
    const artifact = {
      at: new Date(0),
      big: 1n,
      map: new Map([['a', new Set([1])]]),
      bytes: new Uint8Array([1]),
      nested: new HumanMessage('in'),
      marked: { lc: 1, type: 'secret', id: ['HOME'], at: new Date(1), __lc_escaped__: 1 },
    };
    const message = new ToolMessage({ content: 'a', tool_call_id: 'b', artifact });
    const found = await storeAndRead(graphRuns, message);
    expect(found).toBeInstanceOf(ToolMessage);
    expect(found.artifact).toEqual(artifact);
    expect(found.artifact.nested).toBeInstanceOf(HumanMessage);
  });

  it('of a class is read as its properties', async ({ graphRuns }) => {
    expect(await storeAndRead(graphRuns, new Point())).toEqual({ x: 1, y: 2 });
  });

  it('may have 10 MB', { timeout: 120_000 }, async ({ graphRuns: { run, read } }) => {
    const value = 'ä'.repeat(5 * 2 ** 20);
    const graph: CompiledGraph = graphOf(Anything)
      .addNode('write', () => ({ value }))
      .addEdge(START, 'write')
      .compile();
    const { threadId } = await run(graph, { done: false });
    expect((await read(graph, threadId)).values.value === value).toBe(true);
  });

  it('may be a list of 50,000 items', { timeout: 120_000 }, async ({ graphRuns, db }) => {
    const { run, read } = graphRuns;
    const list = Array.from({ length: 50_000 }, (_, i) => ({ i: i % 40_000 }));
    const graph: CompiledGraph = graphOf(Anything)
      .addNode('write', () => ({ list }))
      .addEdge(START, 'write')
      .compile();
    const { threadId } = await run(graph, { done: false });
    const { values } = await read(graph, threadId);
    expect(values.list).toEqual(list);
    const [items] = await db.query<{ count: number }>(
      sql`SELECT count(*) FROM "ChannelItem" WHERE "threadId" = ${threadId}`,
    );
    expect(items?.count).toBeLessThan(300);
  });

  it.for<[string, unknown, string]>([
    ['a function', () => {}, 'a function'],
    ['a function in an object', { list: [{ call: () => {} }] }, 'a function'],
    ['a symbol', { a: Symbol('a') }, 'a symbol'],
    ['an object within itself', circular, 'an object within itself'],
    ['a promise', { later: Promise.resolve(1) }, 'a Promise'],
    ['a model', { model: new FakeListChatModel({ responses: [] }) }, 'FakeListChatModel'],
  ])(
    'that cannot be stored fails the run with its channel: %s',
    async ([, value, why], { graphRuns: { run } }) => {
      const graph: CompiledGraph = graphOf(Anything)
        .addNode('write', () => ({ value }))
        .addEdge(START, 'write')
        .compile();
      for (const durability of ['sync', 'async', 'exit'] as const) {
        await expect(run(graph, { done: false }, { durability })).rejects.toThrow(
          new RegExp(`The value of channel "value" cannot be stored: it holds .*${why}`),
        );
      }
    },
  );
});
