import { AIMessage } from '@langchain/core/messages';
import { Annotation, END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph';
import { z } from 'zod';
import { Log, append, Talk } from './channels.ts';
import { say } from './fake-model.ts';

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
 * Node `top`, then node `middle`: a subgraph with node `note` and node `deepest`, itself a subgraph with node `talk` and, in one
 * superstep, `left` and `right`. Nodes `top`, `note` and `talk` write custom events {from: …}. The models of `top` and `talk`
 * stream "Sh", "allow" and "De", "ep".
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

/** Node `call` invokes another graph twice, with the nodes `one` and `two`. That graph is not a node. */
export const caller = new StateGraph(Log)
  .addNode('call', async (_state, config) => {
    const first = await called.invoke({ word: 'first' }, config);
    const second = await called.invoke({ word: 'second' }, config);
    return { log: [...first.log, ...second.log] };
  })
  .addEdge(START, 'call')
  .compile();

/** Node `inner` is a subgraph with state across runs: it counts its runs in `runs`. */
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

const Caller = z.object({ user: z.string(), depth: z.number().optional() });

const Seen = Annotation.Root({
  seen: Annotation<Record<string, unknown>>({
    reducer: (before, after) => ({ ...before, ...after }),
    default: () => ({}),
  }),
});

/** Node `outer`, and node `deep` of the subgraph at node `inner`, write the context of their runtime to `seen`. */
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

/**
 * Node `router`, then node `weather`: a subgraph whose node `find` takes the last word of a message as the city. The subgraph stops
 * before its node `tell`. This node tells the weather in the city.
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
