import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Annotation, END, START, StateGraph } from '@langchain/langgraph';
import { Log } from './channels.ts';
import { CustomError } from './failures.ts';
import { whenThere } from './gate-file.ts';

export const custom = new StateGraph(Log)
  .addNode('work', (_state, { writer }) => {
    for (const n of [1, 2, 3]) writer?.({ n });
    return { log: ['work'] };
  })
  .addEdge(START, 'work')
  .addEdge('work', END)
  .compile();

export const shout = new StateGraph(Log)
  .addNode('shout', (_state, { writer }) => {
    for (const size of [9_000_000, 0]) writer?.({ text: 'x'.repeat(size) });
    return { log: ['shout'] };
  })
  .addEdge(START, 'shout')
  .addEdge('shout', END)
  .compile();

export const flood = new StateGraph(Log)
  .addNode('flood', (_state, { writer }) => {
    for (let n = 1; n <= 150; n++) writer?.({ n, text: 'x'.repeat(100_000) });
    return { log: ['flood'] };
  })
  .addEdge(START, 'flood')
  .addEdge('flood', END)
  .compile();

/** Node `work` writes the custom events {n: 1}, {n: 2} and so on, up to the input's `count`, without a pause. */
export const chatter = new StateGraph(Annotation.Root({ ...Log.spec, count: Annotation<number> }))
  .addNode('work', ({ count }, { writer }) => {
    for (let n = 1; n <= count; n++) writer?.({ n });
    return { log: ['work'] };
  })
  .addEdge(START, 'work')
  .addEdge('work', END)
  .compile();

/**
 * Node `tick` writes the custom events {n: 1}, {n: 2} and so on, up to the input's `count`. It waits 5 ms after every fifth event, and
 * after the first for the `file` of the input, if the input has one.
 */
export const ticks = new StateGraph(
  Annotation.Root({ ...Log.spec, count: Annotation<number>, file: Annotation<string> }),
)
  .addNode('tick', async ({ count, file }, { writer, signal }) => {
    for (let n = 1; n <= count; n++) {
      writer?.({ n });
      if (n === 1 && file) await whenThere(file, signal);
      if (n % 5 === 0) await sleep(5);
    }
    return { log: ['tick'] };
  })
  .addEdge(START, 'tick')
  .addEdge('tick', END)
  .compile();

/** Node `say` writes each text of the input's `json` to the stream as JSON, and waits 1 ms after each. */
export const says = new StateGraph(Annotation.Root({ ...Log.spec, json: Annotation<string[]> }))
  .addNode('say', async ({ json }, { writer }) => {
    for (const text of json) {
      writer?.(JSON.parse(text));
      await sleep(1);
    }
    return { log: ['say'] };
  })
  .addEdge(START, 'say')
  .addEdge('say', END)
  .compile();

/** Node `burst` writes the custom events {n: 1}, {n: 2} and so on, up to the input's `count`, and throws CustomError "Boo!". */
export const burst = new StateGraph(Annotation.Root({ count: Annotation<number> }))
  .addNode('burst', async ({ count }, { writer }) => {
    for (let n = 1; n <= count; n++) {
      writer?.({ n });
      await nextTurn();
    }
    throw new CustomError('Boo!');
  })
  .addEdge(START, 'burst')
  .compile();
