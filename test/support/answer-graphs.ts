import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import { Annotation, END, NodeInterrupt, START, StateGraph, interrupt } from '@langchain/langgraph';
import { InMemoryCache } from '@langchain/langgraph-checkpoint';
import { z } from 'zod';

// Graphs with questions, for tests of questions and answers. answer-graphs.json beside this file names them.

const Answered = Annotation.Root({ answer: Annotation<unknown>, made: Annotation<string> });

/** Node `ask` asks "x?". Node `costly` makes a text of the answer; its results are cached. */
export const cached = new StateGraph(Answered)
  .addNode('ask', () => ({ answer: interrupt('x?') }))
  .addNode('costly', ({ answer }) => ({ made: `for ${String(answer)}` }), {
    cachePolicy: { ttl: 600 },
  })
  .addEdge(START, 'ask')
  .addEdge('ask', 'costly')
  .addEdge('costly', END)
  .compile({ cache: new InMemoryCache() });

function asking(config: LangGraphRunnableConfig) {
  const node = String(config.configurable?.['node'] ?? 'ask');
  return new StateGraph(Answered)
    .addNode(node, () => ({ answer: interrupt('x?') }))
    .addEdge(START, node)
    .addEdge(node, END)
    .compile();
}

/** A graph with a single node, which asks "x?". Its name is `configurable.node`, or `ask` by default. */
export async function renamed(config: LangGraphRunnableConfig) {
  return asking(config);
}

/** The graph of `renamed` as the subgraph at node `inner`. */
export async function renamedBelow(config: LangGraphRunnableConfig) {
  return new StateGraph(Answered)
    .addNode('inner', asking(config))
    .addEdge(START, 'inner')
    .addEdge('inner', END)
    .compile();
}

/** Nodes `left` and `right`, in one superstep: `left` asks for a number, `right` for any answer. */
export const typed = new StateGraph(
  Annotation.Root({ left: Annotation<unknown>, right: Annotation<unknown> }),
)
  .addNode('askLeft', () => ({ left: interrupt('left?', { responseSchema: z.number() }) }))
  .addNode('askRight', () => ({ right: interrupt('right?') }))
  .addEdge(START, 'askLeft')
  .addEdge(START, 'askRight')
  .compile();

const throwing = new StateGraph(Answered)
  .addNode('a', () => {
    throw new NodeInterrupt('A?');
  })
  .addNode('b', () => {
    throw new NodeInterrupt('B?');
  })
  .addEdge(START, 'a')
  .addEdge(START, 'b')
  .compile();

/**
 * Node `inner` is a subgraph with nodes `a` and `b`. They ask "A?" and "B?" with a thrown interrupt. Node `call` calls the
 * same graph.
 */
export const thrownBelow = new StateGraph(Answered)
  .addNode('inner', throwing)
  .addNode('call', async (_state, config) => throwing.invoke({}, config))
  .addEdge(START, 'inner')
  .addEdge(START, 'call')
  .compile();
