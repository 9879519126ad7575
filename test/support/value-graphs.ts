import { isDeepStrictEqual } from 'node:util';
import { AIMessage, HumanMessage } from '@langchain/core/messages';
import {
  Annotation,
  END,
  MessagesAnnotation,
  START,
  StateGraph,
  interrupt,
  pushMessage,
} from '@langchain/langgraph';
import fc from 'fast-check';

// Graphs with nodes that make values, for tests of their storage. value-graphs.json names the graphs.

const anything = () => Annotation<any>();

/** Makes equal elements, in two channels. The next run changes the first element of the first channel. */
export const board = new StateGraph(
  Annotation.Root({ board: anything(), copy: anything(), seen: anything() }),
)
  .addNode('play', ({ board: before }) => {
    const row = () => [{ cell: '' }];
    if (!before) return { board: [row(), row(), row()], copy: [row(), row()] };
    before[0][0].cell = 'X';
    return { board: before };
  })
  .addNode('look', ({ copy }) => ({ seen: copy }))
  .addEdge(START, 'play')
  .addEdge('play', 'look')
  .addEdge('look', END)
  .compile();

const MAKERS: Record<string, () => unknown> = {
  buffer: () => new Uint8Array([1, 2, 3]).buffer,
  view: () => new DataView(new Uint8Array([9, 1, 2]).buffer, 1),
  bytes: () => Buffer.from('abc'),
  floats: () => new Float32Array([0.5, -1.5, Number.NaN]),
  integers: () => new BigInt64Array([2n ** 60n, -1n]),
  url: () => new URL('https://example.org/a?b=c'),
  search: () => new URLSearchParams('a=1&a=2'),
  typeError: () => new TypeError('no', { cause: new RangeError('too far') }),
  aggregate: () => new AggregateError([new Error('one'), new SyntaxError('two')], 'many'),
  named: () => Object.assign(new Error('own'), { name: 'OwnError' }),
  aborted: () => new DOMException('stopped', 'AbortError'),
  sparse: () => [1, , 3], // oxlint-disable-line no-sparse-arrays -- a hole is read as undefined
  blob: () => new Blob(['text']),
  file: () => new File(['text'], 'a.txt'),
  headers: () => new Headers({ a: 'b' }),
  form: () => {
    const form = new FormData();
    form.set('a', 'b');
    return form;
  },
  response: () => new Response('text'),
  weak: () => new WeakRef({}),
  shared: () => new SharedArrayBuffer(4),
  stream: () => new ReadableStream(),
  generator: () => (function* numbers() {})(),
  iterator: () => new Map().entries(),
  format: () => new Intl.NumberFormat('en'),
  boxed: () => Object(1),
  math: () => Math,
  event: () => new Event('a'),
  secret: () => {
    class Secret {
      readonly #held = 1;
      get held(): number {
        return this.#held;
      }
    }
    return new Secret();
  },
  within: () => ({ deep: [new Map([['a', new Blob(['text'])]])] }),
};

/** Values for structuredClone, and messages. */
const kept: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<unknown>(null, undefined, true, -0, Number.NaN, Infinity, 1e21, 2n ** 70n, ''),
    fc.double(),
    fc.string({ unit: 'binary' }),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array({ maxLength: 5 }).map((bytes) => new Uint8Array(bytes)),
    fc.float64Array({ maxLength: 5 }),
    fc.bigInt64Array({ maxLength: 3 }),
    fc.uint8Array({ maxLength: 5 }).map((bytes) => new Uint8Array(bytes).buffer),
    fc.string().map((text) => Buffer.from(text)),
    fc.constantFrom(/a+/giu, new RangeError('far'), new URL('https://example.org')),
    fc.string().map((content) => new HumanMessage({ content, id: 'a' })),
    fc.string().map((content) => new AIMessage({ content, id: 'b' })),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4, noNullPrototype: true }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map((each) => new Map(each)),
    fc.array(tie('value'), { maxLength: 3 }).map((each) => new Set(each)),
  ),
})).value;

/** Makes an object of a global class from simple arguments. Undefined: the class refuses them. */
function makeBuiltIn(name: string): unknown {
  const known: unknown = Reflect.get(globalThis, name);
  if (typeof known !== 'function' || !/^[A-Z]/.test(name)) return undefined;
  for (const args of [[0], ['a'], [{}], []]) {
    try {
      return Reflect.construct(known, args);
    } catch {
      // Try the next arguments.
    }
  }
  return undefined;
}

/** Makes the value of a recipe. Two calls return equal values. */
export function make(recipe: string): unknown {
  const [kind, name] = recipe.split(' ');
  if (kind === 'seed') return fc.sample(kept, { seed: Number(name), numRuns: 10 });
  if (kind === 'global') return makeBuiltIn(String(name));
  if (kind === 'deep') return nest(Number(name));
  return MAKERS[recipe]?.();
}

function nest(levels: number): unknown {
  let value: unknown = 'innermost';
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { within: value };
  return value;
}

/** Makes the value of a recipe, asks, and then compares the state's value with a second one of the same recipe. */
export const keep = new StateGraph(
  Annotation.Root({ recipe: anything(), value: anything(), isSame: anything() }),
)
  .addNode('make', ({ recipe }) => ({ value: make(recipe) }))
  .addNode('ask', ({ recipe, value }) => {
    interrupt('?');
    return { isSame: isDeepStrictEqual(value, make(recipe)) };
  })
  .addEdge(START, 'make')
  .addEdge('make', 'ask')
  .addEdge('ask', END)
  .compile();

/** Sends a value by its recipe to the stream, and then asks with it. */
export const show = new StateGraph(Annotation.Root({ recipe: anything() }))
  .addNode('show', ({ recipe }, config) => {
    config.writer?.(make(recipe));
    interrupt(make(recipe));
    return {};
  })
  .addEdge(START, 'show')
  .addEdge('show', END)
  .compile();

/** Keeps the messages of its input. */
export const messages = new StateGraph(MessagesAnnotation)
  .addNode('nothing', () => ({}))
  .addEdge(START, 'nothing')
  .addEdge('nothing', END)
  .compile();

/** Keeps the `messages` of its input without checks. */
export const raw = new StateGraph(Annotation.Root({ messages: anything() }))
  .addNode('nothing', () => ({}))
  .addEdge(START, 'nothing')
  .addEdge('nothing', END)
  .compile();

/** An element for a list of messages: a message of a size, a message object of LangChain, or another value. */
export type Insertion = { chars: number; isMessage?: boolean } | { other: unknown };

export interface Splice {
  at: number;
  remove: number;
  insert: Insertion[];
}

function makeInsertion(insertion: Insertion, name: string): unknown {
  if ('other' in insertion) return insertion.other;
  const content = `${name} `.padEnd(insertion.chars, 'x');
  return insertion.isMessage
    ? new HumanMessage({ content, id: name })
    : { type: 'ai', id: name, content };
}

/**
 * Changes `messages` in place, by splices. With {stops: true} in the input, a task then writes one more message beside a task
 * that asks.
 */
export const spliced = new StateGraph(
  Annotation.Root({
    splices: Annotation<Splice[]>,
    turn: Annotation<number>,
    stops: Annotation<boolean>,
    messages: Annotation<unknown[]>({
      reducer: (before, after) => after ?? before,
      default: () => [],
    }),
  }),
)
  .addNode('splice', ({ messages: list, splices, turn }) => {
    for (const [i, { at, remove, insert }] of splices.entries()) {
      const made = insert.map((each, j) => makeInsertion(each, `${turn}.${i}.${j}`));
      list.splice(Math.min(at, list.length), remove, ...made);
    }
    return { messages: list };
  })
  .addNode('ask', ({ stops }) => {
    if (stops) interrupt('?');
    return {};
  })
  .addNode('write', ({ messages: list, stops }) =>
    stops ? { messages: [...list, makeInsertion({ chars: 9 }, 'beside')] } : {},
  )
  .addEdge(START, 'splice')
  .addEdge('splice', 'ask')
  .addEdge('splice', 'write')
  .compile();

/** Shows a value by its recipe in the stream: with the writer, in a message, or as an update. */
export const tell = new StateGraph(
  Annotation.Root({ recipe: anything(), way: anything(), value: anything() }),
)
  .addNode('tell', ({ recipe, way }, config) => {
    const value = make(recipe);
    if (way === 'writer') config.writer?.(value);
    if (way === 'message') {
      const block = { type: 'text', text: 'a', value };
      pushMessage(new AIMessage({ id: 'a', content: [block] }), { ...config, stateKey: null });
    }
    return way === 'update' ? { value } : {};
  })
  .addEdge(START, 'tell')
  .addEdge('tell', END)
  .compile();
