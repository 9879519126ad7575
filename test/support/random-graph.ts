import {
  AIMessage,
  HumanMessage,
  RemoveMessage,
  ToolMessage,
  type BaseMessage,
} from '@langchain/core/messages';
import {
  Annotation,
  Command,
  END,
  REMOVE_ALL_MESSAGES,
  START,
  Send,
  StateGraph,
  interrupt,
  messagesStateReducer,
} from '@langchain/langgraph';
import fc from 'fast-check';
import type { CompiledGraph } from '../../src/graphs/load.ts';

/** The actions of a node, in order. They depend only on the state, so two executions are equal. */
type Action =
  | { do: 'log'; lines: string[] }
  | { do: 'items'; op: 'append' | 'replace'; items: string[] }
  | { do: 'drop'; count: number }
  | { do: 'say'; who: 'human' | 'ai' | 'tool'; text: string; again: boolean }
  | { do: 'forget'; index: number }
  | { do: 'forget all' }
  | { do: 'set'; value: unknown }
  | { do: 'clash'; value: unknown }
  | { do: 'key'; key: string; value: string | null }
  | { do: 'tag'; tag: string }
  | { do: 'ask'; question: string }
  | { do: 'send'; to: number; times: number }
  | { do: 'fail once' };

interface NodeSpec {
  actions: Action[];
  /** The index of the node before it, modulo its own index. */
  after: number;
  /** A plain edge; a branch for even counts; or a join, which also waits for another node. */
  by: 'edge' | 'branch' | 'join';
  subgraph: GraphSpec | null;
  /** Whether the subgraph keeps its state from one call to the next. */
  remembers: boolean;
}

export interface GraphSpec {
  nodes: NodeSpec[];
  /** Returns to the first node while few nodes have run. */
  loops: boolean;
}

/** The operations on a thread. A number names a checkpoint by the number of checkpoints after it. */
export type Deed =
  | { do: 'run'; input: Input; durability: Durability; stopBefore: number | null }
  | { do: 'go on'; durability: Durability }
  | { do: 'answer'; answer: string; durability: Durability; byId: boolean }
  | { do: 'update'; input: Input; asNode: number | null }
  | { do: 'fork by run'; from: number; input: Input | null; durability: Durability }
  | { do: 'fork by update'; from: number; input: Input; asNode: number | null }
  | { do: 'copy'; stay: boolean };

type Durability = 'sync' | 'async' | 'exit';

interface Input {
  log?: string[];
  items?: string[];
  messages?: string[];
  value?: unknown;
}

const LONGEST_LOG = 24;

/**
 * Never throws. If a reducer throws, half of the writes of the step may be applied. Under "exit" MemorySaver then stores this
 * half. Here, a channel with a failed update keeps its version and its value.
 */
function reduceMessages(before: BaseMessage[], change: any): BaseMessage[] {
  try {
    return messagesStateReducer(before, change);
  } catch {
    return before;
  }
}

const State = Annotation.Root({
  log: Annotation<string[]>({
    reducer: (before, lines) => [...before, ...lines].slice(-LONGEST_LOG),
    default: () => [],
  }),
  items: Annotation<string[], { append?: string[]; replace?: string[]; drop?: number } | string[]>({
    reducer: (before, change) => {
      if (Array.isArray(change)) return change;
      if (change.replace) return change.replace;
      return [...before, ...(change.append ?? [])].slice(change.drop ?? 0);
    },
    default: () => [],
  }),
  messages: Annotation<BaseMessage[], any>({ reducer: reduceMessages, default: () => [] }),
  value: Annotation<any>({ reducer: (_before, after) => after, default: () => null }),
  /** Takes a single value per step. Two nodes in one superstep must not both write it. */
  single: Annotation<any>(),
  keys: Annotation<Record<string, string>, Record<string, string | null>>({
    reducer: (before, change) => {
      const entries = Object.entries({ ...before, ...change }).filter(
        ([, value]) => value !== null,
      );
      return Object.fromEntries(entries) as Record<string, string>;
    },
    default: () => ({}),
  }),
  tags: Annotation<Set<string>>({
    reducer: (before, more) => new Set([...before, ...more]),
    default: () => new Set<string>(),
  }),
  count: Annotation<number>({
    reducer: (before, more) => Math.min(before + more, 1000),
    default: () => 0,
  }),
});

const text = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'a longer line', '', 'null', '€ 😀 𝔘'),
  fc.string({ unit: 'grapheme', maxLength: 8 }),
);

/** Values that survive LangGraph's own serializer. */
const value = fc.oneof(
  text,
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.array(text, { maxLength: 3 }),
  fc.record({ a: fc.array(fc.integer(), { maxLength: 2 }), b: fc.option(text) }),
);

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant('log'), lines: fc.array(text, { minLength: 1, maxLength: 3 }) }),
  fc.record({
    do: fc.constant('items'),
    op: fc.constantFrom('append', 'replace'),
    items: fc.array(text, { maxLength: 4 }),
  }),
  fc.record({ do: fc.constant('drop'), count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    do: fc.constant('say'),
    who: fc.constantFrom('human', 'ai', 'tool'),
    text,
    again: fc.boolean(),
  }),
  fc.record({ do: fc.constant('forget'), index: fc.nat(5) }),
  fc.record({ do: fc.constant('forget all') }),
  fc.record({ do: fc.constant('set'), value }),
  fc.record({ do: fc.constant('key'), key: fc.constantFrom('x', 'y'), value: fc.option(text) }),
  fc.record({ do: fc.constant('tag'), tag: text }),
  fc.record({ do: fc.constant('ask'), question: text }),
  fc.record({ do: fc.constant('send'), to: fc.nat(4), times: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ do: fc.constant('fail once') }),
  fc.record({ do: fc.constant('clash'), value }),
) as fc.Arbitrary<Action>;

function graphSpec(depth: number): fc.Arbitrary<GraphSpec> {
  const node: fc.Arbitrary<NodeSpec> = fc.record({
    actions: fc.array(action, { maxLength: 2 }),
    after: fc.nat(4),
    by: fc.constantFrom('edge', 'edge', 'branch', 'join'),
    subgraph:
      depth > 0
        ? fc.oneof(
            { weight: 4, arbitrary: fc.constant(null) },
            { weight: 1, arbitrary: graphSpec(depth - 1) },
          )
        : fc.constant(null),
    remembers: fc.boolean(),
  });
  return fc.record({
    nodes: fc.array(node, { minLength: 1, maxLength: depth > 1 ? 5 : 2 }),
    loops: fc.boolean(),
  });
}

const input: fc.Arbitrary<Input> = fc.record(
  {
    log: fc.array(text, { maxLength: 2 }),
    items: fc.array(text, { maxLength: 3 }),
    messages: fc.array(text, { maxLength: 2 }),
    value,
  },
  { requiredKeys: ['log'] },
);
const durability = fc.constantFrom<Durability>('sync', 'async', 'exit');
const asNode = fc.option(fc.nat(4));

const deed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('run'),
      input,
      durability,
      stopBefore: fc.option(fc.nat(4), { freq: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('go on'), durability }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('answer'),
      answer: text,
      durability,
      byId: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('update'), input, asNode }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('fork by run'),
      from: fc.nat(12),
      input: fc.option(input),
      durability,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('fork by update'), from: fc.nat(12), input, asNode }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('copy'), stay: fc.boolean() }) },
) as fc.Arbitrary<Deed>;

export const BEGIN: Deed = {
  do: 'run',
  input: { log: ['begin'] },
  durability: 'sync',
  stopBefore: null,
};

/** A graph, and the operations on a thread with it. */
export interface Story {
  graph: GraphSpec;
  deeds: Deed[];
}

export const story: fc.Arbitrary<Story> = fc
  .record({ graph: graphSpec(2), deeds: fc.array(deed, { minLength: 1, maxLength: 5 }) })
  .map(({ graph, deeds }) => structuredClone({ graph, deeds: [BEGIN, ...deeds] }));

export function nameOf(spec: GraphSpec, index: number): string {
  return `n${index % spec.nodes.length}`;
}

/**
 * Builds the graph. `failed` contains the nodes that have failed once. Only graphs without subgraphs have failing nodes: the
 * progress of a subgraph beside a failing node depends on time.
 */
export function buildGraph(spec: GraphSpec): CompiledGraph {
  const mayFail = spec.nodes.every(({ subgraph }) => !subgraph);
  return build(spec, {
    failed: mayFail ? new Set() : undefined,
    path: '',
    remembers: false,
    isSent: false,
  });
}

function build(
  spec: GraphSpec,
  {
    failed,
    path,
    remembers,
    isSent,
  }: { failed: Set<string> | undefined; path: string; remembers: boolean; isSent: boolean },
): CompiledGraph {
  const graph: any = new StateGraph(State);
  const names = spec.nodes.map((_, i) => nameOf(spec, i));
  const sends =
    isSent || spec.nodes.some(({ actions }) => actions.some((each) => each.do === 'send'));
  for (const [i, node] of spec.nodes.entries()) {
    const id = `${path}/${names[i]}`;
    if (node.subgraph) {
      graph.addNode(
        names[i],
        build(node.subgraph, {
          failed,
          path: id,
          // Only a single call at a time may use the kept state.
          remembers: node.remembers && !sends,
          isSent: sends,
        }),
      );
    } else {
      graph.addNode(
        names[i],
        (state: typeof State.State) => act(node, { state, id, names, failed }),
        {
          ends: names,
        },
      );
    }
  }
  graph.addEdge(START, names[0]);
  const open = new Set(names);
  const branches = new Map<string, string[]>();
  for (const [i, { after, by }] of spec.nodes.entries()) {
    if (i === 0) continue;
    const name = names[i] as string;
    const before = names[after % i] as string;
    const other = names[(after + 1) % i] as string;
    open.delete(before);
    if (by === 'join' && other !== before) {
      graph.addEdge([before, other], name);
      open.delete(other);
    } else if (by === 'branch') {
      branches.set(before, [...(branches.get(before) ?? []), name]);
    } else {
      graph.addEdge(before, name);
    }
  }
  const last = names.at(-1) as string;
  if (spec.loops && names.length > 1) {
    open.delete(last);
    graph.addConditionalEdges(
      last,
      ({ count }: typeof State.State) => (count < 4 ? names[0] : END),
      [names[0], END],
    );
  }
  for (const [before, targets] of branches) {
    graph.addConditionalEdges(
      before,
      ({ count }: typeof State.State) => (count % 2 === 0 ? targets : END),
      [...targets, END],
    );
  }
  for (const name of open) graph.addEdge(name, END);
  return graph.compile(remembers ? { checkpointer: true } : {});
}

interface Circumstances {
  state: typeof State.State;
  id: string;
  names: string[];
  failed: Set<string> | undefined;
}

function act({ actions }: NodeSpec, { state, id, names, failed }: Circumstances): unknown {
  const log: string[] = [`${id} at ${state.count}`];
  const update: Record<string, unknown> = { log, count: 1 };
  const messages: BaseMessage[] = [];
  const sends: Send[] = [];
  for (const [i, each] of actions.entries()) {
    switch (each.do) {
      case 'log':
        log.push(...each.lines);
        break;
      case 'items':
        update['items'] = { [each.op]: each.items };
        break;
      case 'drop':
        update['items'] = { drop: each.count };
        break;
      case 'say':
        messages.push(message(each, each.again ? 'again' : `${id} ${i} ${state.count}`));
        break;
      case 'forget': {
        const forgotten = state.messages[each.index % Math.max(state.messages.length, 1)];
        if (forgotten?.id) messages.push(new RemoveMessage({ id: forgotten.id }));
        break;
      }
      case 'forget all':
        messages.push(new RemoveMessage({ id: REMOVE_ALL_MESSAGES }));
        break;
      case 'set':
        update['value'] = each.value;
        break;
      case 'clash':
        if (failed) update['single'] = each.value;
        break;
      case 'key':
        update['keys'] = { [each.key]: each.value };
        break;
      case 'tag':
        update['tags'] = new Set([each.tag]);
        break;
      case 'ask':
        log.push(`answer: ${String(interrupt({ question: each.question }))}`);
        break;
      case 'send':
        if (state.count < 4) sends.push(...sendsTo(names, each, state));
        break;
      case 'fail once':
        if (failed && !failed.has(id)) {
          failed.add(id);
          throw new Error(`${id} fails once`);
        }
        break;
    }
  }
  if (messages.length > 0) update['messages'] = messages;
  return sends.length > 0 ? new Command({ update, goto: sends }) : update;
}

function sendsTo(
  names: string[],
  { to, times }: { to: number; times: number },
  state: typeof State.State,
): Send[] {
  const target = names[to % names.length] as string;
  return Array.from(
    { length: times },
    (_, i) => new Send(target, { ...state, log: [`sent ${i}`], count: state.count + 1 }),
  );
}

function message({ who, text: content }: { who: string; text: string }, id: string): BaseMessage {
  if (who === 'human') return new HumanMessage({ content, id });
  if (who === 'tool') return new ToolMessage({ content, id, tool_call_id: 'call' });
  const args = { content, list: [1, null, { deep: true }] };
  return new AIMessage({ content, id, tool_calls: [{ id: 'call', name: 'tool', args }] });
}

/** The input of the graph for an input of a story. */
export function toInput({ messages, ...rest }: Input): Record<string, unknown> {
  return {
    ...rest,
    ...(messages && {
      messages: messages.map((content, i) => ({ role: 'user', content, id: `input ${i}` })),
    }),
  };
}
