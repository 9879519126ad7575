import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import { Annotation, START, StateGraph, interrupt } from '@langchain/langgraph';
import { Log, append } from './channels.ts';
import { whenThere } from './gate-file.ts';

const Held = Annotation.Root({
  ...Log.spec,
  hold: Annotation<string>,
  file: Annotation<string>,
});

/**
 * A graph with nodes `left` and `right` in one superstep. Each asks twice, "left 1" and so on. After the answer to the question `hold`
 * of the input, a node waits for the `file` of the input.
 */
function askingPair(options: { checkpointer?: true } = {}) {
  const node =
    (name: string) => async (state: typeof Held.State, config: LangGraphRunnableConfig) => {
      const log: string[] = [];
      for (const question of [`${name} 1`, `${name} 2`]) {
        log.push(`${question}: ${JSON.stringify(interrupt(question))}`);
        if (state.hold === question) await whenThere(state.file, config.signal);
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

/** Node `inner` is the subgraph of `askingPair`. Then node `after`. */
export const pair = withInner(askingPair());

/** Like `pair`, but the state of the subgraph stays across runs. */
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

/** Node `call` invokes the graph of `askingPair` twice. That graph is not a node. */
export const callerPair = callingPair(askingPair());

/** Like `callerPair`, but the state of the invoked graph stays across runs. */
export const rememberingCallerPair = callingPair(askingPair({ checkpointer: true }));
