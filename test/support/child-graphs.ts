import {
  Annotation,
  END,
  MemorySaver,
  START,
  StateGraph,
  interrupt,
  type LangGraphRunnableConfig,
} from '@langchain/langgraph';

// The nodes of these graphs call another graph, on its own thread. child-graphs.json beside this file names them.

const State = Annotation.Root({
  n: Annotation<number | undefined>(),
  /** The thread_id of each call. */
  threads: Annotation<unknown[]>(),
  log: Annotation<string[]>({ reducer: (before, more) => before.concat(more), default: () => [] }),
});

const counting = new StateGraph(State)
  .addNode('count', ({ n = 0 }) => ({ n: n + 1 }))
  .addEdge(START, 'count')
  .addEdge('count', END);

/** A checkpointer of the project. */
const withSaver = counting.compile({ checkpointer: new MemorySaver() });
const withoutSaver = counting.compile();
/** Keeps its state from one call to the next. */
const remembering = counting.compile({ checkpointer: true });

type Child = typeof withSaver;

function calling(child: Child) {
  return new StateGraph(State)
    .addNode('call', async ({ threads }) => {
      const log: string[] = [];
      for (const thread_id of threads) {
        const { n } = await child.invoke({}, { configurable: { thread_id } });
        log.push(`${String(thread_id)}: ${n}`);
      }
      return { n: threads.length, log };
    })
    .addEdge(START, 'call')
    .addEdge('call', END)
    .compile();
}

export const callsWithSaver = calling(withSaver);
export const callsWithoutSaver = calling(withoutSaver);
export const callsRemembering = calling(remembering);

const asking = new StateGraph(State)
  .addNode('first', (_state, { writer }) => {
    writer?.('first');
    return { log: ['first'] };
  })
  .addNode('ask', () => ({ log: [`answer: ${String(interrupt('Go on?'))}`] }))
  .addEdge(START, 'first')
  .addEdge('first', 'ask')
  .addEdge('ask', END)
  .compile({ checkpointer: new MemorySaver() });

/** Its node calls a graph on a second thread. The called graph asks after its first node. */
export const callsAsking = new StateGraph(State)
  .addNode('call', async (_state, config: LangGraphRunnableConfig) => {
    const { log } = await asking.invoke(
      {},
      { ...config, configurable: { ...config.configurable, thread_id: 'questions' } },
    );
    return { log };
  })
  .addEdge(START, 'call')
  .addEdge('call', END)
  .compile();
