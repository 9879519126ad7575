import type { RunnableConfig } from '@langchain/core/runnables';
import { Annotation, END, interrupt, START, StateGraph } from '@langchain/langgraph';

// Graphs for tests of handlers. auth-graphs.json beside this file names them.

const Caller = Annotation.Root({
  user: Annotation<unknown>(),
  id: Annotation<unknown>(),
  permissions: Annotation<unknown>(),
});

/** Its state is the user of its run. */
export const whoCalls = new StateGraph(Caller)
  .addNode('look', (_state: unknown, { configurable = {} }: RunnableConfig) => ({
    user: configurable['langgraph_auth_user'],
    id: configurable['langgraph_auth_user_id'],
    permissions: configurable['langgraph_auth_permissions'],
  }))
  .addEdge(START, 'look')
  .addEdge('look', END)
  .compile();

/** Waits for an answer. */
export const waits = new StateGraph(Annotation.Root({ answer: Annotation<unknown>() }))
  .addNode('ask', () => ({ answer: interrupt('Go on?') }))
  .addEdge(START, 'ask')
  .addEdge('ask', END)
  .compile();
