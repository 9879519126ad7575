import { EventEmitter } from 'node:events';
import { access } from 'node:fs/promises';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { AIMessage, AIMessageChunk, ToolMessage } from '@langchain/core/messages';
import { ChatGenerationChunk } from '@langchain/core/outputs';
import { tool } from '@langchain/core/tools';
import { FakeStreamingChatModel } from '@langchain/core/utils/testing';
import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import {
  Annotation,
  END,
  MessagesAnnotation,
  MessagesDeltaValue,
  NodeInterrupt,
  START,
  Send,
  StateGraph,
  StateSchema,
  entrypoint,
  interrupt,
  task,
} from '@langchain/langgraph';
import { ToolNode } from '@langchain/langgraph/prebuilt';
import { z } from 'zod';

// Graphs for tests: no model, no network, and no state that outlives a run. langgraph.json beside this file names them.

const Log = Annotation.Root({
  log: Annotation<string[]>({
    reducer: (before, after) => before.concat(after),
    default: () => [],
  }),
});

function append(entry: string): () => typeof Log.Update {
  return () => ({ log: [entry] });
}

/** Answers `echo: …` to the last message, at once. */
export const echo = new StateGraph(MessagesAnnotation)
  .addNode('echo', ({ messages }) => ({
    messages: [new AIMessage(`echo: ${messages.at(-1)?.text}`)],
  }))
  .addEdge(START, 'echo')
  .addEdge('echo', END)
  .compile();

/** Ten nodes in a row, step1 to step10; each appends its name to `log`. */
export const steps = new StateGraph(Log)
  .addSequence(
    Array.from({ length: 10 }, (_, n): [string, () => typeof Log.Update] => [
      `step${n + 1}`,
      append(`step${n + 1}`),
    ]),
  )
  .addEdge(START, 'step1')
  .compile();

/** Node `llm` streams 200 tokens of one character, a to z over and over, without a pause. */
export const tokens = new StateGraph(MessagesAnnotation)
  .addNode('llm', async (_state, config) => {
    const model = new FakeStreamingChatModel({
      chunks: Array.from(
        { length: 200 },
        (_, n) => new AIMessageChunk(String.fromCodePoint(97 + (n % 26))),
      ),
    });
    return { messages: [await model.invoke('go', config)] };
  })
  .addEdge(START, 'llm')
  .addEdge('llm', END)
  .compile();

/** Node `work` writes the custom events {n: 1}, {n: 2} and {n: 3}. */
export const custom = new StateGraph(Log)
  .addNode('work', (_state, { writer }) => {
    for (const n of [1, 2, 3]) writer?.({ n });
    return { log: ['work'] };
  })
  .addEdge(START, 'work')
  .addEdge('work', END)
  .compile();

class CustomError extends Error {}

/** Node `a` appends to `log`, then node `b` throws CustomError "Boo!" where the input says {fail: true}. */
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

/** Node `wait` takes as long as the input's `ms` says, or until the run's signal. */
export const slow = new StateGraph(Annotation.Root({ ...Log.spec, ms: Annotation<number> }))
  .addNode('wait', async ({ ms }, { signal }) => {
    await sleep(ms, undefined, { signal });
    return { log: [`waited ${ms}`] };
  })
  .addEdge(START, 'wait')
  .addEdge('wait', END)
  .compile();

/** Node `before`, then node `hold`, which waits until the file that the input names as `file` exists, then node `after`. */
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

async function whenThere(file: string, signal: AbortSignal | undefined): Promise<void> {
  while (!(await exists(file))) await sleep(10, undefined, { signal });
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** Nodes `left` and `right` in one superstep, then `join`. */
export const parallel = new StateGraph(Log)
  .addNode('left', append('left'))
  .addNode('right', append('right'))
  .addNode('join', append('join'))
  .addEdge(START, 'left')
  .addEdge(START, 'right')
  .addEdge(['left', 'right'], 'join')
  .addEdge('join', END)
  .compile();

/** Adds 1 to `count`; refuses an input whose `count` is not a number. */
export const strict = new StateGraph(z.object({ count: z.number() }))
  .addNode('add', ({ count }) => ({ count: count + 1 }))
  .addEdge(START, 'add')
  .addEdge('add', END)
  .compile();

/** Puts what it was run with into `seen`: configurable (without LangGraph's own), context, metadata and tags. */
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

/** Node `ask` asks {question: "Go on?"} and puts the answer into `answer`. */
export const ask = new StateGraph(Annotation.Root({ ...Log.spec, answer: Annotation<unknown> }))
  .addNode('before', append('before'))
  .addNode('ask', () => ({ answer: interrupt({ question: 'Go on?' }), log: ['ask'] }))
  .addEdge(START, 'before')
  .addEdge('before', 'ask')
  .addEdge('ask', END)
  .compile();

/** Node `ask` asks, waits with the answer until the file that the input names as `file` exists, and puts it into `answer`. */
export const askAtGate = new StateGraph(
  Annotation.Root({ ...Log.spec, file: Annotation<string>, answer: Annotation<unknown> }),
)
  .addNode('ask', async ({ file }, { signal }) => {
    const answer: unknown = interrupt('Go on?');
    await whenThere(file, signal);
    return { answer };
  })
  .addEdge(START, 'ask')
  .addEdge('ask', END)
  .compile();

/** A graph whose one node has the name that `configurable.node` gives it; `made` by default. */
export async function factory(config: LangGraphRunnableConfig) {
  const node = String(config.configurable?.['node'] ?? 'made');
  return new StateGraph(Log)
    .addNode(node, append(node))
    .addEdge(START, node)
    .addEdge(node, END)
    .compile();
}

/** A StateGraph that nobody compiled. */
export const uncompiled = new StateGraph(Log)
  .addNode('only', append('only'))
  .addEdge(START, 'only')
  .addEdge('only', END);

/** One node, `call_model`, that answers `You said: …`: the graph that the seeds' supersteps are written for. */
export const chat = new StateGraph(MessagesAnnotation)
  .addNode('call_model', ({ messages }) => ({
    messages: [new AIMessage(`You said: ${messages.at(-1)?.text}`)],
  }))
  .addEdge(START, 'call_model')
  .addEdge('call_model', END)
  .compile();

/** Node `outer`, then node `inner`: a subgraph of the nodes `one` and `two`, on the same `log`; then node `last`. */
export const nested = new StateGraph(Log)
  .addNode('outer', append('outer'))
  .addNode(
    'inner',
    new StateGraph(Log)
      .addNode('one', () => ({ log: ['one'] }))
      .addNode('two', () => ({ log: ['two'] }))
      .addEdge(START, 'one')
      .addEdge('one', 'two')
      .addEdge('two', END)
      .compile(),
  )
  .addNode('last', append('last'))
  .addEdge(START, 'outer')
  .addEdge('outer', 'inner')
  .addEdge('inner', 'last')
  .addEdge('last', END)
  .compile();

/** Node `ask` of the subgraph at node `inner` asks {question: "Really?"}. */
export const nestedAsk = new StateGraph(Log)
  .addNode(
    'inner',
    new StateGraph(Log)
      .addNode('ask', () => ({ log: [`answered ${String(interrupt({ question: 'Really?' }))}`] }))
      .addEdge(START, 'ask')
      .addEdge('ask', END)
      .compile(),
  )
  .addEdge(START, 'inner')
  .addEdge('inner', END)
  .compile();

const Jobs = Annotation.Root({ ...Log.spec, jobs: Annotation<string[]>, job: Annotation<string> });

/** Sends each of the input's `jobs` to a `work` of its own; `done` comes after all of them. */
export const fanOut = new StateGraph(Jobs)
  .addNode('plan', append('plan'))
  .addNode('work', ({ job }) => ({ log: [`work ${job}`] }))
  .addNode('done', append('done'))
  .addEdge(START, 'plan')
  .addConditionalEdges('plan', ({ jobs }) => jobs.map((job) => new Send('work', { job })), ['work'])
  .addEdge('work', 'done')
  .addEdge('done', END)
  .compile();

/** Puts values that JSON does not have into `value`, beside text that PostgreSQL does not take. */
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

/** Puts what is another thing once it has been stored into `value`: an error keeps no name of its own. */
export const renamed = new StateGraph(Annotation.Root({ value: Annotation<unknown> }))
  .addNode('make', () => ({ value: Object.assign(new Error('Boo!'), { name: 'Ghost' }) }))
  .addEdge(START, 'make')
  .addEdge('make', END)
  .compile();

/** Puts the input's `list` into `list` in place of what is there, then drops its first element. */
export const shrink = new StateGraph(Annotation.Root({ list: Annotation<unknown[]> }))
  .addNode('drop', ({ list }) => ({ list: list.slice(1) }))
  .addEdge(START, 'drop')
  .addEdge('drop', END)
  .compile();

/** Nodes `good` and `bad` in one superstep; `bad` throws CustomError "Boo!" once `good` has ended. */
export const halfFail = new StateGraph(Log)
  .addNode('good', append('good'))
  .addNode('bad', async () => {
    await sleep(20);
    throw new CustomError('Boo!');
  })
  .addEdge(START, 'good')
  .addEdge(START, 'bad')
  .compile();

/** What node `boom` throws, by the input's `what`. */
const THROWN: Record<string, () => unknown> = {
  text: () => 'Just text.',
  nothing: () => undefined,
  object: () => ({ code: 7 }),
  bare: () => Object.create(null),
  long: () => new RangeError('x'.repeat(5000)),
};

/** Node `boom` throws something unusual, before its first await. */
export const boom = new StateGraph(Annotation.Root({ ...Log.spec, what: Annotation<string> }))
  .addNode('boom', ({ what }) => {
    throw THROWN[what]?.();
  })
  .addEdge(START, 'boom')
  .addEdge('boom', END)
  .compile();

/** A function that makes no graph: it throws CustomError "No graph today.". */
export async function broken(): Promise<never> {
  throw new CustomError('No graph today.');
}

/** Node `shout` writes a custom event with 9,000,000 bytes of text, and then an empty one. */
export const shout = new StateGraph(Log)
  .addNode('shout', (_state, { writer }) => {
    for (const size of [9_000_000, 0]) writer?.({ text: 'x'.repeat(size) });
    return { log: ['shout'] };
  })
  .addEdge(START, 'shout')
  .addEdge('shout', END)
  .compile();

/** Node `flood` writes the custom events {n: 1} to {n: 150}, each with 100,000 bytes of text, without a pause. */
export const flood = new StateGraph(Log)
  .addNode('flood', (_state, { writer }) => {
    for (let n = 1; n <= 150; n++) writer?.({ n, text: 'x'.repeat(100_000) });
    return { log: ['flood'] };
  })
  .addEdge(START, 'flood')
  .addEdge('flood', END)
  .compile();

/** Streams its pieces as they are: LangChain's fake loses the pieces of tool calls. */
class PiecesModel extends FakeStreamingChatModel {
  override async *_streamResponseChunks(
    ...[, , run]: Parameters<FakeStreamingChatModel['_streamResponseChunks']>
  ) {
    for (const message of this.chunks) {
      const chunk = new ChatGenerationChunk({ text: message.text, message });
      yield chunk;
      await run?.handleLLMNewToken(chunk.text, undefined, undefined, undefined, undefined, {
        chunk,
      });
    }
  }
}

/** What a model that streams these pieces answers. */
function say(
  config: LangGraphRunnableConfig,
  pieces: ConstructorParameters<typeof AIMessageChunk>[0][],
  tags: string[] = [],
): Promise<AIMessageChunk> {
  const model = new PiecesModel({ chunks: pieces.map((piece) => new AIMessageChunk(piece)) });
  return model.withConfig({ tags }).invoke('go', config);
}

const Talk = Annotation.Root({ ...Log.spec, ...MessagesAnnotation.spec });

const deepest = new StateGraph(Talk)
  .addNode('talk', async (_state, config) => {
    config.writer?.({ from: 'talk' });
    return { log: ['talk'], messages: [await say(config, ['De', 'ep'])] };
  })
  .addNode('left', append('left'))
  .addNode('right', append('right'))
  .addEdge(START, 'talk')
  .addEdge('talk', 'left')
  .addEdge('talk', 'right')
  .compile();

const middle = new StateGraph(Talk)
  .addNode('note', (_state, { writer }) => {
    writer?.({ from: 'note' });
    return { log: ['note'] };
  })
  .addNode('deepest', deepest)
  .addEdge(START, 'note')
  .addEdge('note', 'deepest')
  .compile();

/**
 * Node `top`, then node `middle`: a subgraph of node `note` and node `deepest`, itself a subgraph of node `talk` and, in one
 * superstep, `left` and `right`. Node `top`, `note` and `talk` write custom events {from: …}; `top` and `talk` have a model
 * that streams "Sh", "allow" and "De", "ep".
 */
export const deep = new StateGraph(Talk)
  .addNode('top', async (_state, config) => {
    config.writer?.({ from: 'top' });
    return { log: ['top'], messages: [await say(config, ['Sh', 'allow'])] };
  })
  .addNode('middle', middle)
  .addEdge(START, 'top')
  .addEdge('top', 'middle')
  .compile();

const called = new StateGraph(Annotation.Root({ ...Log.spec, word: Annotation<string> }))
  .addNode('one', ({ word }, { writer }) => {
    writer?.({ from: word });
    return { log: [`one ${word}`] };
  })
  .addNode('two', ({ word }) => ({ log: [`two ${word}`], word: word.toUpperCase() }))
  .addEdge(START, 'one')
  .addEdge('one', 'two')
  .compile();

/** Node `call` runs another graph, of the nodes `one` and `two`, twice, itself: no node is that graph. */
export const caller = new StateGraph(Log)
  .addNode('call', async (_state, config) => {
    const first = await called.invoke({ word: 'first' }, config);
    const second = await called.invoke({ word: 'second' }, config);
    return { log: [...first.log, ...second.log] };
  })
  .addEdge(START, 'call')
  .compile();

/** Node `inner` is a subgraph that keeps its own state from run to run: it counts its runs in `runs`. */
export const remembering = new StateGraph(Log)
  .addNode(
    'inner',
    new StateGraph(
      Annotation.Root({
        ...Log.spec,
        runs: Annotation<number>({ reducer: (a, b) => a + b, default: () => 0 }),
      }),
    )
      .addNode('count', ({ runs }) => ({ runs: 1, log: [`run ${runs + 1}`] }))
      .addEdge(START, 'count')
      .compile({ checkpointer: true }),
  )
  .addEdge(START, 'inner')
  .compile();

/** Nodes `quick` and `held` in one superstep, then `join`; `held` waits until the file that the input names as `file` exists. */
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

/** Node `model` streams two tool calls, their arguments in pieces; node `tools` answers them. */
export const toolCalls = new StateGraph(MessagesAnnotation)
  .addNode('model', async (_state, config) => {
    const piece = (index: number, args: string, start: { id?: string; name?: string } = {}) => ({
      content: '',
      tool_call_chunks: [{ type: 'tool_call_chunk' as const, index, args, ...start }],
    });
    const answer = await say(config, [
      'Let me look.',
      piece(0, '', { id: 'call-0', name: 'weather' }),
      piece(0, '{"city":'),
      piece(0, '"Paris"}'),
      piece(1, '{"city":"Rome"}', { id: 'call-1', name: 'weather' }),
    ]);
    return { messages: [answer] };
  })
  .addNode('tools', ({ messages }) => {
    const last = messages.at(-1);
    const calls = AIMessage.isInstance(last) ? (last.tool_calls ?? []) : [];
    return {
      messages: calls.map(
        ({ id, name, args }) =>
          new ToolMessage({ tool_call_id: id ?? '', name, content: `Rain in ${args['city']}.` }),
      ),
    };
  })
  .addEdge(START, 'model')
  .addEdge('model', 'tools')
  .compile();

/**
 * One node each: `aloud` has a model without tags, `nostream` and `langsmith:nostream` have one with that tag, `secret` has
 * one tagged langsmith:hidden; `hidden` itself has the tag langsmith:hidden.
 */
export const tagged = new StateGraph(Talk)
  .addSequence(
    Object.entries({
      aloud: [],
      nostream: ['nostream'],
      'langsmith-nostream': ['langsmith:nostream'],
      secret: ['langsmith:hidden'],
      hidden: [],
    }).map(([name, tags]): [string, (state: unknown, config: LangGraphRunnableConfig) => any] => [
      name,
      async (_state, config) => ({
        log: [name],
        messages: [await say(config, [`${name} `, 'speaks'], tags)],
      }),
    ]),
  )
  .addEdge(START, 'aloud')
  .compile();
Object.assign(tagged.nodes['hidden'] ?? {}, { tags: ['langsmith:hidden'] });

/** Node `llm` streams "one ", "two ", "three ", waits until the file that the input names as `file` exists, and streams "four ", "five ", "six ". */
export const halves = new StateGraph(
  Annotation.Root({ ...MessagesAnnotation.spec, file: Annotation<string> }),
)
  .addNode('llm', async ({ file }, config) => {
    const first = await say(config, ['one ', 'two ', 'three ']);
    await whenThere(file, config.signal);
    return { messages: [first, await say(config, ['four ', 'five ', 'six '])] };
  })
  .addEdge(START, 'llm')
  .addEdge('llm', END)
  .compile();

/** A graph whose node `ask` asks {from: …}, and whose node `note` then writes who answered what. */
function asking(name: string, options: { checkpointer?: true } = {}) {
  return new StateGraph(Annotation.Root({ ...Log.spec, answer: Annotation<unknown> }))
    .addNode('ask', () => ({ answer: interrupt({ from: name }) }))
    .addNode('note', ({ answer }) => ({ log: [`${name}: ${String(answer)}`] }))
    .addEdge(START, 'ask')
    .addEdge('ask', 'note')
    .compile(options);
}

/** Nodes `left` and `right`, in one superstep, are subgraphs that each ask {from: …} at node `ask`, and have a node `note`. */
export const twins = new StateGraph(Log)
  .addNode('left', asking('left'))
  .addNode('right', asking('right'))
  .addEdge(START, 'left')
  .addEdge(START, 'right')
  .compile();

/** Node `middle` is a subgraph whose node `deepest` is a subgraph that asks {from: "below"} at node `ask`. */
export const deepAsk = new StateGraph(Log)
  .addNode('top', append('top'))
  .addNode(
    'middle',
    new StateGraph(Log)
      .addNode('note', append('note'))
      .addNode('deepest', asking('below'))
      .addEdge(START, 'note')
      .addEdge('note', 'deepest')
      .compile(),
  )
  .addEdge(START, 'top')
  .addEdge('top', 'middle')
  .compile();

/** Node `inner` is a subgraph that keeps its own state from run to run, and asks {from: "inside"} at node `ask`. */
export const rememberingAsk = new StateGraph(Log)
  .addNode('inner', asking('inside', { checkpointer: true }))
  .addEdge(START, 'inner')
  .compile();

/** Node `pick`, then `high` where `total` is above 10, otherwise `low`. The reducer of `total` adds, and throws for what is no number. */
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

/** Node `work` blocks the event loop for the input's `ms`; for ever where there is none. */
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

/** How node `leave` of graph `careless` leaves an error that nobody can catch, by the input's `how`. */
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

/** Node `leave` leaves an error that nobody can catch; node `hold` waits until the file that the input names as `file` exists. */
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

/** Node `work` writes the custom events {n: 1}, {n: 2} and so on, as many as the input's `count` says, without a pause. */
export const chatter = new StateGraph(Annotation.Root({ ...Log.spec, count: Annotation<number> }))
  .addNode('work', ({ count }, { writer }) => {
    for (let n = 1; n <= count; n++) writer?.({ n });
    return { log: ['work'] };
  })
  .addEdge(START, 'work')
  .addEdge('work', END)
  .compile();

/**
 * Node `both` asks "first", then "second", and node `third` asks "third"; each answer goes to `log` as it came. Once it has the
 * answer that the input names as `hold`, a node waits until the file that the input names as `file` exists.
 */
export const questions = new StateGraph(
  Annotation.Root({ ...Log.spec, hold: Annotation<string>, file: Annotation<string> }),
)
  .addNode('both', async ({ hold, file }, { signal }) => {
    const log: string[] = [];
    for (const question of ['first', 'second']) {
      log.push(`${question}: ${JSON.stringify(interrupt(question))}`);
      if (hold === question) await whenThere(file, signal);
    }
    return { log };
  })
  .addNode('third', () => ({ log: [`third: ${JSON.stringify(interrupt('third'))}`] }))
  .addEdge(START, 'both')
  .addEdge('both', 'third')
  .addEdge('third', END)
  .compile();

/** Node `work`, once it has begun, waits for the input's `ms` whatever its signal says, and writes to `log`; then `after`. */
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

/** Nodes `one`, `two` and `three` each ask their name, in one superstep; node `done` comes after all of them. */
export const panel = new StateGraph(Log)
  .addNode('one', () => ({ log: [`one: ${JSON.stringify(interrupt('one'))}`] }))
  .addNode('two', () => ({ log: [`two: ${JSON.stringify(interrupt('two'))}`] }))
  .addNode('three', () => ({ log: [`three: ${JSON.stringify(interrupt('three'))}`] }))
  .addNode('done', append('done'))
  .addEdge(START, 'one')
  .addEdge(START, 'two')
  .addEdge(START, 'three')
  .addEdge(['one', 'two', 'three'], 'done')
  .addEdge('done', END)
  .compile();

/** Node `ask` asks "go?"; what comes next throws CustomError where the answer is "bad", and waits for its signal where it is "wait". */
export const fragile = new StateGraph(Log)
  .addNode('ask', async (_state, { signal }) => {
    const answer = interrupt('go?');
    if (answer === 'bad') throw new CustomError('Boo!');
    if (answer === 'wait') await sleep(60_000, undefined, { signal });
    return { log: [`went ${JSON.stringify(answer)}`] };
  })
  .addEdge(START, 'ask')
  .addEdge('ask', END)
  .compile();

const Caller = z.object({ user: z.string(), depth: z.number().optional() });

const Seen = Annotation.Root({
  seen: Annotation<Record<string, unknown>>({
    reducer: (before, after) => ({ ...before, ...after }),
    default: () => ({}),
  }),
});

/** Node `outer`, and node `deep` of the subgraph at node `inner`, put the context of their runtime into `seen`. */
export const contextual = new StateGraph(Seen, Caller)
  .addNode('outer', (_state, { context }) => ({ seen: { outer: context } }))
  .addNode(
    'inner',
    new StateGraph(Seen, Caller)
      .addNode('deep', (_state, { context }) => ({ seen: { deep: context } }))
      .addEdge(START, 'deep')
      .compile(),
  )
  .addEdge(START, 'outer')
  .addEdge('outer', 'inner')
  .compile();

/** Node `again` appends to `log` and comes after itself, for ever. */
export const endless = new StateGraph(Log)
  .addNode('again', append('again'))
  .addEdge(START, 'again')
  .addEdge('again', 'again')
  .compile();

/** Node `tick` writes the custom events {n: 1}, {n: 2} and so on, as many as the input's `count` says, rests after every fifth, and waits after the first for `file`, if there is one. */
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

/** Node `say` writes to the stream what each text of the input's `json` says, and waits a moment after each. */
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

/** Node `burst` writes as many custom events {n: …} in a row as the input's `count` says, and throws CustomError "Boo!". */
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

/** Says two different things of a kilobyte. */
export const talkative = new StateGraph(MessagesAnnotation)
  .addNode('think', ({ messages }) => sayKilobyte(`thought ${messages.length}`))
  .addNode('answer', ({ messages }) => sayKilobyte(`answer ${messages.length}`))
  .addEdge(START, 'think')
  .addEdge('think', 'answer')
  .addEdge('answer', END)
  .compile();

function sayKilobyte(name: string) {
  return { messages: [new AIMessage(kilobyte(name))] };
}

/** A kilobyte of letters that does not compress well, and that no other name gives. */
export function kilobyte(name: string): string {
  let state = Array.from(name).reduce(
    (sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 65_521,
    7,
  );
  const letters = Array.from({ length: 1000 }, () => {
    state = (state * 48_271 + 11) % 2_147_483_647;
    return String.fromCharCode(97 + (state % 26));
  });
  return letters.join('');
}

/**
 * Node `agent` has every question looked up by node `tools`, and answers with what that found. Node `tools` waits until the
 * file that the input names as `file` exists, where it names one.
 */
export const lookUp = new StateGraph(
  Annotation.Root({ ...MessagesAnnotation.spec, file: Annotation<string> }),
)
  .addNode('agent', ({ messages }) => {
    const last = messages.at(-1);
    const call = { id: `call-${messages.length}`, name: 'search', args: { query: last?.text } };
    const found = ToolMessage.isInstance(last);
    return {
      messages: [
        found
          ? new AIMessage(`I found: ${last.text}`)
          : new AIMessage({ content: '', tool_calls: [call] }),
      ],
    };
  })
  .addNode('tools', async ({ messages, file }, { signal }) => {
    if (file) await whenThere(file, signal);
    const last = messages.at(-1);
    const calls = AIMessage.isInstance(last) ? (last.tool_calls ?? []) : [];
    return {
      messages: calls.map(
        ({ id, name, args }) =>
          new ToolMessage({ tool_call_id: id ?? '', name, content: `all about ${args['query']}` }),
      ),
    };
  })
  .addEdge(START, 'agent')
  .addConditionalEdges(
    'agent',
    ({ messages }) => {
      const last = messages.at(-1);
      return AIMessage.isInstance(last) && last.tool_calls?.length ? 'tools' : END;
    },
    ['tools', END],
  )
  .addEdge('tools', 'agent')
  .compile();

/**
 * Node `router`, then node `weather`: a subgraph that takes a message's last word for the city at node `find`, stops, and
 * tells its weather at node `tell`.
 */
export const weather = new StateGraph(MessagesAnnotation)
  .addNode('router', () => ({}))
  .addNode(
    'weather',
    new StateGraph(Annotation.Root({ ...MessagesAnnotation.spec, city: Annotation<string> }))
      .addNode('find', ({ messages }) => ({ city: messages.at(-1)?.text.split(' ').at(-1) }))
      .addNode('tell', ({ city }) => ({ messages: [new AIMessage(`It is sunny in ${city}.`)] }))
      .addEdge(START, 'find')
      .addEdge('find', 'tell')
      .addEdge('tell', END)
      .compile({ interruptBefore: ['tell'] }),
  )
  .addEdge(START, 'router')
  .addEdge('router', 'weather')
  .addEdge('weather', END)
  .compile();

/** Node `plan` sends each of the input's `jobs` to an `ask` of its own, which asks {job: …}; `done` comes after all of them. */
export const sendAsk = new StateGraph(Jobs)
  .addNode('plan', append('plan'))
  .addNode('ask', ({ job }) => ({ log: [`${job}: ${JSON.stringify(interrupt({ job }))}`] }))
  .addNode('done', append('done'))
  .addEdge(START, 'plan')
  .addConditionalEdges('plan', ({ jobs }) => jobs.map((job) => new Send('ask', { job })), ['ask'])
  .addEdge('ask', 'done')
  .addEdge('done', END)
  .compile();

const sendMail = tool(
  ({ to }) => `Mail to ${to}: ${JSON.stringify(interrupt({ question: 'Send?', to }))}`,
  { name: 'sendMail', description: 'Sends a mail.', schema: z.object({ to: z.string() }) },
);

/** Node `agent` has a mail sent to each word of the last message; node `tools` is a ToolNode whose tool asks {question: "Send?", to: …}. */
export const toolAsk = new StateGraph(MessagesAnnotation)
  .addNode('agent', ({ messages }) => {
    const words = messages.at(-1)?.text.split(' ') ?? [];
    const calls = words.map((to, n) => ({ id: `call-${n}`, name: 'sendMail', args: { to } }));
    return { messages: [new AIMessage({ content: '', tool_calls: calls })] };
  })
  .addNode('tools', new ToolNode([sendMail]))
  .addEdge(START, 'agent')
  .addEdge('agent', 'tools')
  .addEdge('tools', END)
  .compile();

/** Node `ask` asks null and puts the answer into `answer`. */
export const askNull = new StateGraph(Annotation.Root({ ...Log.spec, answer: Annotation<unknown> }))
  .addNode('ask', () => ({ answer: interrupt(null), log: ['ask'] }))
  .addEdge(START, 'ask')
  .addEdge('ask', END)
  .compile();

const Held = Annotation.Root({
  ...Log.spec,
  hold: Annotation<string>,
  file: Annotation<string>,
});

/**
 * A graph whose nodes `left` and `right`, in one superstep, each ask twice, "left 1" and so on. Once it has the answer to
 * the question that the input names as `hold`, a node waits until the file that the input names as `file` exists.
 */
function askingPair(options: { checkpointer?: true } = {}) {
  const node =
    (name: string) => async (state: typeof Held.State, config: LangGraphRunnableConfig) => {
      const log: string[] = [];
      for (const question of [`${name} 1`, `${name} 2`]) {
        log.push(`${question}: ${JSON.stringify(interrupt(question))}`);
        while (state.hold === question && !(await exists(state.file))) {
          await sleep(10, undefined, { signal: config.signal });
        }
      }
      return { log };
    };
  return new StateGraph(Held)
    .addNode('left', node('left'))
    .addNode('right', node('right'))
    .addEdge(START, 'left')
    .addEdge(START, 'right')
    .compile(options);
}

function withInner(inner: ReturnType<typeof askingPair>) {
  return new StateGraph(Held)
    .addNode('inner', inner)
    .addNode('after', append('after'))
    .addEdge(START, 'inner')
    .addEdge('inner', 'after')
    .compile();
}

/** Node `inner` is a subgraph whose nodes `left` and `right` each ask twice, as askingPair says; then node `after`. */
export const pair = withInner(askingPair());

/** As `pair`; its subgraph keeps its own state from run to run. */
export const rememberingPair = withInner(askingPair({ checkpointer: true }));

function callingPair(called: ReturnType<typeof askingPair>) {
  return new StateGraph(Held)
    .addNode('call', async ({ hold, file }, config) => {
      const first = await called.invoke({ log: ['first'], hold, file }, config);
      const second = await called.invoke({ log: ['second'], hold: '', file }, config);
      return { log: first.log.concat(second.log) };
    })
    .addEdge(START, 'call')
    .compile();
}

/** Node `call` runs twice, itself, a graph whose nodes `left` and `right` each ask twice, as askingPair says. */
export const callerPair = callingPair(askingPair());

/** As `callerPair`; the graph that is called keeps its own state from run to run. */
export const rememberingCallerPair = callingPair(askingPair({ checkpointer: true }));

/** Node `before`, then nodes `left` and `right` in one superstep, which both write `one`: a channel that takes one value a step. */
export const clash = new StateGraph(Annotation.Root({ ...Log.spec, one: Annotation<string> }))
  .addNode('before', () => ({ log: ['before'], one: 'before' }))
  .addNode('left', () => ({ log: ['left'], one: 'left' }))
  .addNode('right', () => ({ log: ['right'], one: 'right' }))
  .addEdge(START, 'before')
  .addEdge('before', 'left')
  .addEdge('before', 'right')
  .compile();

const askTwice = task('askTwice', async (name: string) =>
  [1, 2].map((n) => `${name} ${n}: ${JSON.stringify(interrupt(`${name} ${n}`))}`),
);

/** A graph of the functional API that gives nothing. */
export const nothing = entrypoint({ name: 'nothing' }, async (_input: unknown) => null);

/** A graph of the functional API: two tasks, one after the other, each ask twice, "a 1" and so on. */
export const taskAsk = entrypoint({ name: 'taskAsk' }, async (_input: unknown) => [
  ...(await askTwice('a')),
  ...(await askTwice('b')),
]);

/** Node `answer` adds a message with the id `a` and the number of messages before it. The state is a DeltaChannel. */
export const delta = new StateGraph(new StateSchema({ messages: MessagesDeltaValue }))
  .addNode('answer', ({ messages }) => ({
    messages: [new AIMessage({ id: `a${messages.length}`, content: `${messages.length} before` })],
  }))
  .addEdge(START, 'answer')
  .addEdge('answer', END)
  .compile();

const Turn = Annotation.Root({ ...Log.spec, turn: Annotation<number> });

/** A node that asks by throwing NodeInterrupt until `turn` is as high as `until`. Its questions have no id. */
function throwing(question: string, until: number) {
  return ({ turn }: typeof Turn.State) => {
    if (!(turn >= until)) throw new NodeInterrupt(question);
    return { log: [question] };
  };
}

/** Node `a` asks "A?" until `turn` is 1, then node `b` asks "B?" until it is 2. */
export const thrownRow = new StateGraph(Turn)
  .addNode('a', throwing('A?', 1))
  .addNode('b', throwing('B?', 2))
  .addEdge(START, 'a')
  .addEdge('a', 'b')
  .addEdge('b', END)
  .compile();

/** Nodes `a` and `b`, in one superstep, ask "A?" and "B?" until `turn` is 1. */
export const thrownPair = new StateGraph(Turn)
  .addNode('a', throwing('A?', 1))
  .addNode('b', throwing('B?', 1))
  .addEdge(START, 'a')
  .addEdge(START, 'b')
  .compile();
