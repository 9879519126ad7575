import { setTimeout as sleep } from 'node:timers/promises';
import { AIMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import {
  Annotation,
  END,
  MessagesAnnotation,
  NodeInterrupt,
  START,
  Send,
  StateGraph,
  entrypoint,
  interrupt,
  task,
} from '@langchain/langgraph';
import { ToolNode } from '@langchain/langgraph/prebuilt';
import { z } from 'zod';
import { Log, append, Jobs } from './channels.ts';
import { CustomError } from './failures.ts';
import { whenThere } from './gate-file.ts';

/** Node `ask` asks {question: "Go on?"} and writes the answer to `answer`. */
export const ask = new StateGraph(Annotation.Root({ ...Log.spec, answer: Annotation<unknown> }))
  .addNode('before', append('before'))
  .addNode('ask', () => ({ answer: interrupt({ question: 'Go on?' }), log: ['ask'] }))
  .addEdge(START, 'before')
  .addEdge('before', 'ask')
  .addEdge('ask', END)
  .compile();

/** Node `ask` asks, waits for the `file` of the input, and then writes the answer to `answer`. */
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

/** A graph with two nodes: `ask` asks {from: name}, and `note` writes the name and the answer to `log`. */
function asking(name: string, options: { checkpointer?: true } = {}) {
  return new StateGraph(Annotation.Root({ ...Log.spec, answer: Annotation<unknown> }))
    .addNode('ask', () => ({ answer: interrupt({ from: name }) }))
    .addNode('note', ({ answer }) => ({ log: [`${name}: ${String(answer)}`] }))
    .addEdge(START, 'ask')
    .addEdge('ask', 'note')
    .compile(options);
}

/** Nodes `left` and `right`, in one superstep, are subgraphs with the nodes of `asking`. */
export const twins = new StateGraph(Log)
  .addNode('left', asking('left'))
  .addNode('right', asking('right'))
  .addEdge(START, 'left')
  .addEdge(START, 'right')
  .compile();

/** Node `middle` is a subgraph with node `deepest`, a subgraph. It asks {from: "below"} at node `ask`. */
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

/** Node `inner` is a subgraph with state across runs. It asks {from: "inside"} at node `ask`. */
export const rememberingAsk = new StateGraph(Log)
  .addNode('inner', asking('inside', { checkpointer: true }))
  .addEdge(START, 'inner')
  .compile();

/**
 * Node `both` asks "first", then "second", and node `third` asks "third". Each answer goes to `log` unchanged. After the answer to
 * the question `hold` of the input, a node waits for the `file` of the input.
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

/** Nodes `one`, `two` and `three`, in one superstep, each ask their name. Node `done` follows all of them. */
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

/** Node `ask` asks "go?". It throws CustomError after the answer "bad", and waits for its signal after "wait". */
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

/** Node `plan` sends each of the input's `jobs` to a task of node `ask`, which asks {job: …}. Node `done` follows all of them. */
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

/** Node `agent` calls the tool `sendMail` for each word of the last message. Node `tools` is a ToolNode; its tool asks {question: "Send?", to: …}. */
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

/** Node `ask` asks null and writes the answer to `answer`. */
export const askNull = new StateGraph(Annotation.Root({ ...Log.spec, answer: Annotation<unknown> }))
  .addNode('ask', () => ({ answer: interrupt(null), log: ['ask'] }))
  .addEdge(START, 'ask')
  .addEdge('ask', END)
  .compile();

const askTwice = task('askTwice', async (name: string) =>
  [1, 2].map((n) => `${name} ${n}: ${JSON.stringify(interrupt(`${name} ${n}`))}`),
);

/** A graph of the functional API: two tasks in sequence, each with two questions, "a 1" and so on. */
export const taskAsk = entrypoint({ name: 'taskAsk' }, async (_input: unknown) => [
  ...(await askTwice('a')),
  ...(await askTwice('b')),
]);

const Turn = Annotation.Root({ ...Log.spec, turn: Annotation<number> });

/** A node that asks with a thrown NodeInterrupt until `turn` reaches `until`. Its questions have no id. */
function throwing(question: string, until: number) {
  return ({ turn }: typeof Turn.State) => {
    if (!(turn >= until)) throw new NodeInterrupt(question);
    return { log: [question] };
  };
}

export const thrownRow = new StateGraph(Turn)
  .addNode('a', throwing('A?', 1))
  .addNode('b', throwing('B?', 2))
  .addEdge(START, 'a')
  .addEdge('a', 'b')
  .addEdge('b', END)
  .compile();

export const thrownPair = new StateGraph(Turn)
  .addNode('a', throwing('A?', 1))
  .addNode('b', throwing('B?', 1))
  .addEdge(START, 'a')
  .addEdge(START, 'b')
  .compile();
