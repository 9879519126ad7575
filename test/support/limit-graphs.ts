import { AIMessage } from '@langchain/core/messages';
import {
  Annotation,
  END,
  MessagesAnnotation,
  Send,
  START,
  StateGraph,
  type LangGraphRunnableConfig,
} from '@langchain/langgraph';

const deep = (levels: number): unknown[] => (levels === 0 ? [] : [deep(levels - 1)]);

/** Each entry exceeds one limit of a run, with a value or with events. */
const MAKES: Record<string, (config: LangGraphRunnableConfig) => unknown> = {
  deep: () => deep(1002),
  deepEvent: ({ writer }) => writer?.(deep(1200)),
  state: () => 'x'.repeat(59_995),
  event: ({ writer }) => writer?.('x'.repeat(150_000)),
  events: endless,
  manyEvents: manyThenWait,
};

/** Writes 1,200 events, and waits for the stop of the run. */
async function manyThenWait({ writer, signal }: LangGraphRunnableConfig): Promise<never> {
  for (let n = 0; n < 1200; n++) writer?.(n);
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason as Error));
  });
}

/** Writes events for ever, without a turn of the event loop. */
async function endless({ writer }: LangGraphRunnableConfig): Promise<never> {
  for (let n = 0; ; n++) {
    writer?.(n);
    await Promise.resolve();
  }
}

export const large = new StateGraph(
  Annotation.Root({ what: Annotation<string>, value: Annotation<unknown> }),
)
  .addNode('make', async ({ what }, config) => ({
    value: (await MAKES[what]?.(config)) ?? null,
  }))
  .addEdge(START, 'make')
  .addEdge('make', END)
  .compile();

/** The number of turns of the event loop since the request to `slow`. */
let turn = 0;

function nextTurn(): void {
  turn += 1;
  if (turn < 10_000) setImmediate(nextTurn);
}

/** Writes a list. Each element contains the turn of the event loop in which the server reads it. */
export const slow = new StateGraph(
  Annotation.Root({
    list: Annotation<{ turn: number }[], number>({
      reducer(_before, length) {
        turn = 0;
        nextTurn();
        return Array.from({ length }, () => ({
          get turn() {
            return turn;
          },
        }));
      },
      default: () => [],
    }),
  }),
)
  .addNode('write', () => ({}))
  .addEdge(START, 'write')
  .addEdge('write', END)
  .compile();

/** The input of a run. */
interface Growth {
  /** Characters of each text. */
  chars: number;
  /** The number of parallel tasks. Each appends a text. Default: one text. */
  tasks?: number;
  /** Numbers of a typed array. */
  floats?: number;
}

/** Appends texts to `list`. Node `grow` also writes its text to the stream and to a message. */
export const growing = new StateGraph(
  Annotation.Root({
    ...MessagesAnnotation.spec,
    chars: Annotation<number>,
    tasks: Annotation<number | undefined>,
    floats: Annotation<number | undefined>,
    array: Annotation<Float64Array>,
    list: Annotation<string[]>({
      reducer: (before, more) => [...before, ...more],
      default: () => [],
    }),
  }),
)
  .addNode('grow', ({ chars, floats = 0 }: Growth, { writer }) => {
    const text = 'x'.repeat(chars);
    writer?.(text);
    return {
      list: [text],
      messages: [new AIMessage(text)],
      array: Float64Array.from({ length: floats }, (_, n) => n / 7),
    };
  })
  .addNode('part', ({ chars }: Growth) => ({ list: ['y'.repeat(chars)] }))
  .addConditionalEdges(START, ({ tasks, chars }) =>
    tasks ? Array.from({ length: tasks }, () => new Send('part', { chars })) : 'grow',
  )
  .addEdge('grow', END)
  .addEdge('part', END)
  .compile();
