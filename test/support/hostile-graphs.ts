import { once } from 'node:events';
import { AIMessage } from '@langchain/core/messages';
import {
  Annotation,
  END,
  MessagesAnnotation,
  START,
  StateGraph,
  interrupt,
} from '@langchain/langgraph';

// Graphs with hostile errors and texts. hostile-graphs.json beside this file names them.

const refuse = (): never => {
  throw new Error('no');
};

function error(own: PropertyDescriptorMap): Error {
  return Object.defineProperties(new Error('quota'), own);
}

function cyclic(): Error {
  const [first, second] = [new Error('first'), new Error('second')];
  first.cause = second;
  second.cause = first;
  return first;
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** Makes the values for node `thrower` to throw, by name. */
export const THROWN: Record<string, () => unknown> = {
  'an undefined name': () => error({ name: { value: undefined } }),
  'a null name': () => error({ name: { value: null } }),
  'an object as name': () => error({ name: { value: { code: 429 } } }),
  'a symbol as name': () => error({ name: { value: Symbol('quota') } }),
  'a function as name': () => error({ name: { value: refuse } }),
  'a name that cannot be read': () => error({ name: { get: refuse } }),
  'an object as message': () => error({ message: { value: { code: 429 } } }),
  'a function as message': () => error({ message: { value: refuse } }),
  'a message that cannot be read': () => error({ message: { get: refuse } }),
  'a constructor that cannot be read': () => error({ constructor: { get: refuse } }),
  'a stack that cannot be read': () => error({ stack: { get: refuse } }),
  'a property that cannot be read': () => error({ code: { get: refuse, enumerable: true } }),
  'causes in a circle': cyclic,
  'a frozen error': () => Object.freeze(new Error('quota')),
  'an object that cannot be inspected': () => ({
    [Symbol.for('nodejs.util.inspect.custom')]: refuse,
  }),
  'an object that cannot be text': () => ({ toString: refuse, toJSON: refuse }),
  'a proxy that refuses all': () =>
    new Proxy(new Error('quota'), {
      get: refuse,
      set: refuse,
      has: refuse,
      getPrototypeOf: refuse,
      ownKeys: refuse,
      getOwnPropertyDescriptor: refuse,
    }),
  'a revoked proxy': revoked,
  'an object without a prototype': () =>
    Object.assign(Object.create(null) as object, { code: 429 }),
  'an object that holds an error': () => ({ inner: new Error('inner') }),
  undefined: () => undefined,
  null: () => null,
  'a symbol': () => Symbol('quota'),
  'a big integer': () => 429n,
  'a function': () => refuse,
  'a long text': () => '💥'.repeat(3000),
  'a long message': () => new Error('💥'.repeat(3000)),
  'a long name': () => error({ name: { value: '💥'.repeat(3000) } }),
  'null bytes and half characters': () =>
    error({ name: { value: 'Quo\0ta\uD83D' }, message: { value: 'all \0 gone \uDE00' } }),
};

const Throwing = Annotation.Root({ what: Annotation<string>(), stray: Annotation<boolean>() });

/** Node `thrower` throws the value with the name in `what`. With `stray` it leaves a rejected promise instead, and waits to be stopped. */
export const throwing = new StateGraph(Throwing)
  .addNode('thrower', async ({ what, stray }, { signal }) => {
    const thrown = THROWN[what]?.();
    if (!stray) throw thrown;
    void Promise.reject(thrown);
    if (signal) await once(signal, 'abort');
    return {};
  })
  .addEdge(START, 'thrower')
  .addEdge('thrower', END)
  .compile();

/** PostgreSQL's text type refuses a null byte; strict JSON readers refuse half a character. */
const ODD = 'null \0 high \uD83D low \uDE00';

const Texts = Annotation.Root({
  ...MessagesAnnotation.spec,
  where: Annotation<string>(),
  said: Annotation<unknown>(),
  list: Annotation<unknown[]>(),
});

/** Node `say` puts odd text into the place in `where`. */
export const texts = new StateGraph(Texts)
  .addNode('say', ({ where }, { writer }) => {
    if (where === 'message')
      return { messages: [new AIMessage({ content: ODD, id: 'a', name: ODD })] };
    if (where === 'id') return { messages: [new AIMessage({ content: 'x', id: ODD })] };
    if (where === 'list') return { list: [ODD, { odd: ODD }] };
    if (where === 'key') return { said: { [ODD]: 1 } };
    if (where === 'custom') writer?.({ odd: ODD });
    if (where === 'question') return { said: interrupt({ odd: ODD }) };
    if (where === 'error') throw new Error(ODD);
    return { said: ODD };
  })
  .addEdge(START, 'say')
  .addEdge('say', END)
  .compile();

/** PostgreSQL refuses the name of its node. */
export const oddNode = new StateGraph(Texts)
  .addNode('od\0d', () => ({ said: 1 }))
  .addEdge(START, 'od\0d')
  .addEdge('od\0d', END)
  .compile();

/** PostgreSQL refuses the name of its channel. */
export const oddChannel = new StateGraph(Annotation.Root({ ['od\0d']: Annotation<number>() }))
  .addNode('say', () => ({ ['od\0d']: 1 }))
  .addEdge(START, 'say')
  .addEdge('say', END)
  .compile();
