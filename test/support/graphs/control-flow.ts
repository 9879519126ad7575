import { setTimeout as sleep } from 'node:timers/promises';
import { AIMessage } from '@langchain/core/messages';
import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import {
  Annotation,
  END,
  MessagesDeltaValue,
  START,
  Send,
  StateGraph,
  StateSchema,
  entrypoint,
} from '@langchain/langgraph';
import { z } from 'zod';
import { Log, append, Jobs } from './channels.ts';
import { CustomError } from './failures.ts';
import { whenThere } from './gate-file.ts';

export const steps = new StateGraph(Log)
  .addSequence(
    Array.from({ length: 10 }, (_, n): [string, () => typeof Log.Update] => [
      `step${n + 1}`,
      append(`step${n + 1}`),
    ]),
  )
  .addEdge(START, 'step1')
  .compile();

/** Node `wait` waits for the `ms` of the input, or until the signal of the run. */
export const slow = new StateGraph(Annotation.Root({ ...Log.spec, ms: Annotation<number> }))
  .addNode('wait', async ({ ms }, { signal }) => {
    await sleep(ms, undefined, { signal });
    return { log: [`waited ${ms}`] };
  })
  .addEdge(START, 'wait')
  .addEdge('wait', END)
  .compile();

/** Node `before`, then node `hold`, which waits for the `file` of the input, then node `after`. */
export const gate = new StateGraph(Annotation.Root({ ...Log.spec, file: Annotation<string> }))
  .addNode('before', append('before'))
  .addNode('hold', async ({ file }, { signal }) => {
    await whenThere(file, signal);
    return { log: ['hold'] };
  })
  .addNode('after', append('after'))
  .addEdge(START, 'before')
  .addEdge('before', 'hold')
  .addEdge('hold', 'after')
  .addEdge('after', END)
  .compile();

export const parallel = new StateGraph(Log)
  .addNode('left', append('left'))
  .addNode('right', append('right'))
  .addNode('join', append('join'))
  .addEdge(START, 'left')
  .addEdge(START, 'right')
  .addEdge(['left', 'right'], 'join')
  .addEdge('join', END)
  .compile();

/** Nodes `short` and `long` in one superstep, then `longer`. Node `last` waits for the end of all others. */
export const deferred = new StateGraph(Log)
  .addNode('short', append('short'))
  .addNode('long', append('long'))
  .addNode('longer', append('longer'))
  .addNode('last', append('last'), { defer: true })
  .addEdge(START, 'short')
  .addEdge(START, 'long')
  .addEdge('long', 'longer')
  .addEdge('short', 'last')
  .addEdge('longer', 'last')
  .addEdge('last', END)
  .compile();

/** Adds 1 to `count`. Refuses a `count` of a wrong type. */
export const strict = new StateGraph(z.object({ count: z.number() }))
  .addNode('add', ({ count }) => ({ count: count + 1 }))
  .addEdge(START, 'add')
  .addEdge('add', END)
  .compile();

/** Writes the configuration of its run to `seen`: configurable (without LangGraph's own keys), context, metadata and tags. */
export const whoami = new StateGraph(Annotation.Root({ seen: Annotation<Record<string, unknown>> }))
  .addNode('look', (_state, config: LangGraphRunnableConfig) => ({
    seen: {
      configurable: Object.fromEntries(
        Object.entries(config.configurable ?? {}).filter(([key]) => !/^(__|checkpoint_)/.test(key)),
      ),
      context: config.context,
      metadata: config.metadata,
      tags: config.tags,
    },
  }))
  .addEdge(START, 'look')
  .addEdge('look', END)
  .compile();

/** A graph with a single node. Its name is `configurable.node`, or `made` by default. */
export async function factory(config: LangGraphRunnableConfig) {
  const node = String(config.configurable?.['node'] ?? 'made');
  return new StateGraph(Log)
    .addNode(node, append(node))
    .addEdge(START, node)
    .addEdge(node, END)
    .compile();
}

/** A StateGraph without compile(). */
export const uncompiled = new StateGraph(Log)
  .addNode('only', append('only'))
  .addEdge(START, 'only')
  .addEdge('only', END);

/** Node `plan` sends each of the input's `jobs` to a task of node `work`. Node `done` follows all of them. */
export const fanOut = new StateGraph(Jobs)
  .addNode('plan', append('plan'))
  .addNode('work', ({ job }) => ({ log: [`work ${job}`] }))
  .addNode('done', append('done'))
  .addEdge(START, 'plan')
  .addConditionalEdges('plan', ({ jobs }) => jobs.map((job) => new Send('work', { job })), ['work'])
  .addEdge('work', 'done')
  .addEdge('done', END)
  .compile();

/** Writes values without a JSON form to `value`, and text that PostgreSQL cannot store. */
export const exotic = new StateGraph(Annotation.Root({ value: Annotation<unknown> }))
  .addNode('make', () => ({
    value: {
      text: 'snow ☃, 🙂 and a null\0byte',
      map: new Map<string, unknown>([['key', new Set([1, 2])]]),
      set: new Set(['a', 'b']),
      date: new Date(0),
      missing: undefined,
      list: [undefined, null, new Map([[1, 'one']])],
      bytes: new Uint8Array([104, 105]),
    },
  }))
  .addEdge(START, 'make')
  .addEdge('make', END)
  .compile();

/** Writes an error with a name of its own to `value`. A stored error loses this name. */
export const renamed = new StateGraph(Annotation.Root({ value: Annotation<unknown> }))
  .addNode('make', () => ({ value: Object.assign(new Error('Boo!'), { name: 'Ghost' }) }))
  .addEdge(START, 'make')
  .addEdge('make', END)
  .compile();

/** Replaces `list` with the list of the input, then drops its first element. */
export const shrink = new StateGraph(Annotation.Root({ list: Annotation<unknown[]> }))
  .addNode('drop', ({ list }) => ({ list: list.slice(1) }))
  .addEdge(START, 'drop')
  .addEdge('drop', END)
  .compile();

/** Nodes `quick` and `held` in one superstep, then `join`. Node `held` waits for the `file` of the input. */
export const race = new StateGraph(Annotation.Root({ ...Log.spec, file: Annotation<string> }))
  .addNode('quick', append('quick'))
  .addNode('held', async ({ file }, { signal }) => {
    await whenThere(file, signal);
    return { log: ['held'] };
  })
  .addNode('join', append('join'))
  .addEdge(START, 'quick')
  .addEdge(START, 'held')
  .addEdge(['quick', 'held'], 'join')
  .compile();

/** Node `pick`, then `high` if `total` is above 10, otherwise `low`. The reducer of `total` adds, and throws if the update is not a number. */
export const route = new StateGraph(
  Annotation.Root({
    ...Log.spec,
    total: Annotation<number>({
      reducer: (a, b) => {
        if (typeof b !== 'number') throw new CustomError('Only numbers add up.');
        return a + b;
      },
      default: () => 0,
    }),
  }),
)
  .addNode('pick', append('pick'))
  .addNode('high', append('high'))
  .addNode('low', append('low'))
  .addEdge(START, 'pick')
  .addConditionalEdges('pick', ({ total }) => (total > 10 ? 'high' : 'low'), ['high', 'low'])
  .addEdge('high', END)
  .addEdge('low', END)
  .compile();

/** Node `work` blocks the event loop for the input's `ms`, or for ever without `ms`. */
export const hog = new StateGraph(Annotation.Root({ ...Log.spec, ms: Annotation<number> }))
  .addNode('rest', append('rest'))
  .addNode('work', ({ ms }) => {
    const end = performance.now() + (ms ?? Infinity);
    while (performance.now() < end);
    return { log: ['work'] };
  })
  .addEdge(START, 'rest')
  .addEdge('rest', 'work')
  .addEdge('work', END)
  .compile();

/** Node `work` writes an event, ignores its signal for the input's `ms`, and writes to `log`. Then node `after`. */
export const deaf = new StateGraph(Annotation.Root({ ...Log.spec, ms: Annotation<number> }))
  .addNode('work', async ({ ms }, { writer }) => {
    writer?.({ begun: true });
    await sleep(ms);
    return { log: ['work'] };
  })
  .addNode('after', append('after'))
  .addEdge(START, 'work')
  .addEdge('work', 'after')
  .addEdge('after', END)
  .compile();

/** Node `again` appends to `log` and follows itself, for ever. */
export const endless = new StateGraph(Log)
  .addNode('again', append('again'))
  .addEdge(START, 'again')
  .addEdge('again', 'again')
  .compile();

/** Node `before`, then nodes `left` and `right` in one superstep. Both write `one`, a channel that takes a single value per step. */
export const clash = new StateGraph(Annotation.Root({ ...Log.spec, one: Annotation<string> }))
  .addNode('before', () => ({ log: ['before'], one: 'before' }))
  .addNode('left', () => ({ log: ['left'], one: 'left' }))
  .addNode('right', () => ({ log: ['right'], one: 'right' }))
  .addEdge(START, 'before')
  .addEdge('before', 'left')
  .addEdge('before', 'right')
  .compile();

/** A graph of the functional API. It returns null. */
export const nothing = entrypoint({ name: 'nothing' }, async (_input: unknown) => null);

/** Node `answer` adds a message with the id `a` and the number of messages before it. The state is a DeltaChannel. */
export const delta = new StateGraph(new StateSchema({ messages: MessagesDeltaValue }))
  .addNode('answer', ({ messages }) => ({
    messages: [new AIMessage({ id: `a${messages.length}`, content: `${messages.length} before` })],
  }))
  .addEdge(START, 'answer')
  .addEdge('answer', END)
  .compile();
