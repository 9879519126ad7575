import { setImmediate as nextTurn } from 'node:timers/promises';
import { AIMessage } from '@langchain/core/messages';
import {
  Annotation,
  END,
  MessagesAnnotation,
  START,
  StateGraph,
  interrupt,
  type LangGraphRunnableConfig,
} from '@langchain/langgraph';

// Graphs with nodes that change their state in place. ownership-graphs.json beside this file names them.

/** A change in place of one channel. */
export type Change = 'push item' | 'change item' | 'change doc' | 'change map' | 'change message';

/** The actions of a node, in this order. */
export interface Deeds {
  before: Change[];
  /** Writes its doc to the stream, and changes the doc at once. */
  tells: boolean;
  /** Asks a question with its items in the value. */
  asks: boolean;
  /** After an await. */
  after: Change[];
  /** The returned channels, each with the object of the state or a copy of it. */
  returns: { channel: 'items' | 'doc' | 'map' | 'messages'; copy: boolean }[];
  /** The number of returned messages without ids. */
  says: number;
}

export type Plan = Record<'first' | 'left' | 'right' | 'last' | 'inner', Deeds>;

const State = Annotation.Root({
  ...MessagesAnnotation.spec,
  plan: Annotation<Plan>(),
  items: Annotation<{ n: number; tags: string[] }[]>(),
  doc: Annotation<{ n: number; deep: { list: number[] } }>(),
  map: Annotation<Map<string, number[]>>(),
  log: Annotation<string[]>({ reducer: (before, more) => before.concat(more), default: () => [] }),
});
type State = typeof State.State;

const changes: Record<Change, (state: State) => void> = {
  'push item': ({ items }) => items?.push({ n: items.length, tags: [] }),
  'change item': ({ items }) => items?.[0]?.tags.push(`tag ${items[0].tags.length}`),
  'change doc': ({ doc }) => {
    if (!doc) return;
    doc.n += 1;
    doc.deep.list.push(doc.n);
  },
  'change map': ({ map }) => map?.set('n', [...(map.get('n') ?? []), map.size]),
  'change message': ({ messages }) => {
    const [message] = messages;
    if (message) message.content = `${message.text}!`;
  },
};

function node(name: keyof Plan) {
  return async (state: State, { writer }: LangGraphRunnableConfig) => {
    const { before, tells, asks, after, returns, says } = state.plan[name];
    for (const change of before) changes[change](state);
    if (tells) {
      writer?.(state.doc);
      changes['change doc'](state);
    }
    const answer = asks ? String(interrupt({ items: state.items })) : '';
    await nextTurn();
    for (const change of after) changes[change](state);
    const returned = returns.map(({ channel, copy }) => [
      channel,
      copy && channel !== 'messages' ? structuredClone(state[channel]) : state[channel],
    ]);
    const update = Object.fromEntries(returned);
    const said = Array.from({ length: says }, (_, i) => new AIMessage(`${name} ${i}`));
    return {
      log: [`${name}${answer}`],
      ...update,
      ...(said.length > 0 && { messages: [...(update.messages ?? []), ...said] }),
    };
  };
}

const inner = new StateGraph(State)
  .addNode('inner', node('inner'))
  .addEdge(START, 'inner')
  .addEdge('inner', END)
  .compile();

/**
 * Nodes `first`, then `left` and `right` in parallel, then a subgraph with node `inner`, then `last`. Each executes its part
 * of the plan.
 */
export const planned = new StateGraph(State)
  .addNode('begin', ({ map }) => (map ? {} : { map: new Map([['a', [1]]]) }))
  .addNode('first', node('first'))
  .addNode('left', node('left'))
  .addNode('right', node('right'))
  .addNode('within', inner)
  .addNode('last', node('last'))
  .addEdge(START, 'begin')
  .addEdge('begin', 'first')
  .addEdge('first', 'left')
  .addEdge('first', 'right')
  .addEdge(['left', 'right'], 'within')
  .addEdge('within', 'last')
  .addEdge('last', END)
  .compile();

const Items = Annotation.Root({ items: Annotation<string[]>(), other: Annotation<number>() });
const push =
  (item: string) =>
  ({ items }: typeof Items.State) => {
    items.push(item);
    return { items };
  };

/** Node `n` appends "added" to its items, in place. */
export const append = new StateGraph(Items)
  .addNode('n', push('added'))
  .addEdge(START, 'n')
  .addEdge('n', END)
  .compile();

/** Nodes `a` and `b` append their names in place. */
export const two = new StateGraph(Items)
  .addNode('a', push('a'), { ends: ['b'] })
  .addNode('b', push('b'))
  .addEdge(START, 'a')
  .addEdge('a', 'b')
  .addEdge('b', END)
  .compile();
