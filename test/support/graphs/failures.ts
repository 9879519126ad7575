import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Annotation, END, START, StateGraph } from '@langchain/langgraph';
import { Log, append } from './channels.ts';
import { whenThere } from './gate-file.ts';

export class CustomError extends Error {}

/** Node `a` appends to `log`. Then node `b` throws CustomError "Boo!" if the input has {fail: true}. */
export const fail = new StateGraph(Annotation.Root({ ...Log.spec, fail: Annotation<boolean> }))
  .addNode('a', append('a'))
  .addNode('b', (state) => {
    if (state.fail) throw new CustomError('Boo!');
    return { log: ['b'] };
  })
  .addEdge(START, 'a')
  .addEdge('a', 'b')
  .addEdge('b', END)
  .compile();

/** Nodes `good` and `bad` in one superstep. Node `bad` throws CustomError "Boo!" after the end of `good`. */
export const halfFail = new StateGraph(Log)
  .addNode('good', append('good'))
  .addNode('bad', async () => {
    await sleep(20);
    throw new CustomError('Boo!');
  })
  .addEdge(START, 'good')
  .addEdge(START, 'bad')
  .compile();

/** The error of node `boom`, by the `what` of the input. */
const THROWN: Record<string, () => unknown> = {
  text: () => 'Just text.',
  nothing: () => undefined,
  object: () => ({ code: 7 }),
  bare: () => Object.create(null),
  long: () => new RangeError('x'.repeat(5000)),
};

/** Node `boom` throws an unusual value before its first await. */
export const boom = new StateGraph(Annotation.Root({ ...Log.spec, what: Annotation<string> }))
  .addNode('boom', ({ what }) => {
    throw THROWN[what]?.();
  })
  .addEdge(START, 'boom')
  .addEdge('boom', END)
  .compile();

/** A function without a graph: it throws CustomError "No graph today.". */
export async function broken(): Promise<never> {
  throw new CustomError('No graph today.');
}

/** The uncaught errors of node `leave` of graph `careless`, by the `how` of the input. */
const LEFT: Record<string, () => unknown> = {
  rejection: () => void Promise.reject(new CustomError('Left: rejection')),
  timer: () =>
    setTimeout(() => {
      throw new CustomError('Left: timer');
    }),
  later: () =>
    setTimeout(() => void sleep(1).then(() => Promise.reject(new CustomError('Left: later')))),
  emitter: () =>
    setImmediate(() => new EventEmitter().emit('error', new CustomError('Left: emitter'))),
};

/** Node `leave` causes an uncaught error. Node `hold` waits for the `file` of the input. */
export const careless = new StateGraph(
  Annotation.Root({ ...Log.spec, how: Annotation<string>, file: Annotation<string> }),
)
  .addNode('leave', ({ how }) => {
    LEFT[how]?.();
    return { log: ['leave'] };
  })
  .addNode('hold', async ({ file }, { signal }) => {
    await whenThere(file, signal);
    return { log: ['hold'] };
  })
  .addEdge(START, 'leave')
  .addEdge('leave', 'hold')
  .addEdge('hold', END)
  .compile();
