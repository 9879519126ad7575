import { AIMessage } from '@langchain/core/messages';
import {
  DeltaValue,
  END,
  MessagesDeltaValue,
  START,
  StateGraph,
  StateSchema,
  interrupt,
} from '@langchain/langgraph';
import { z } from 'zod/v4';

// Graphs with a DeltaChannel. Its checkpoints have no value: the value is the sum of the writes of their ancestors. delta-
// graphs.json beside this file names them.

const Talk = new StateSchema({ messages: MessagesDeltaValue });

/** Answers with a message. Its id contains the number of messages before it. */
export const talk = new StateGraph(Talk)
  .addNode('a', ({ messages }) => ({
    messages: [new AIMessage({ id: `a${messages.length}`, content: 'x' })],
  }))
  .addEdge(START, 'a')
  .addEdge('a', END)
  .compile();

const Lines = z.array(z.string()).default(() => []);

/** A list with a whole value after every third update. */
const lines = new DeltaValue(Lines, {
  inputSchema: Lines,
  reducer: (before: string[], writes: string[][]) => [...before, ...writes.flat()],
  snapshotFrequency: 3,
});

const Notes = new StateSchema({ notes: lines });
const Part = new StateSchema({ log: Lines, notes: lines });

const note =
  (name: string) =>
  ({ log, notes }: typeof Part.State) => ({ notes: [`${name} ${log.length} ${notes.length}`] });

const part = new StateGraph({ state: Part, output: Notes })
  .addNode('in', note('in'))
  .addNode('out', note('out'))
  .addEdge(START, 'in')
  .addEdge('in', 'out')
  .addEdge('out', END)
  .compile();

const Steps = new StateSchema({ log: lines, asks: z.boolean().default(false) });

const step =
  (name: string) =>
  ({ log }: typeof Steps.State) => ({ log: [`${name} ${log.length}`] });

/**
 * Each node logs its name and the length of the log: a node, two nodes in one superstep, a subgraph with notes, and a node
 * with an optional question.
 */
export const steps = new StateGraph(Steps)
  .addNode('first', step('first'))
  .addNode('left', step('left'))
  .addNode('right', step('right'))
  .addNode('part', part)
  .addNode('last', ({ asks, log }) => ({
    log: [`last ${log.length} ${asks ? String(interrupt(log.length)) : ''}`],
  }))
  .addEdge(START, 'first')
  .addEdge('first', 'left')
  .addEdge('first', 'right')
  .addEdge(['left', 'right'], 'part')
  .addEdge('part', 'last')
  .addEdge('last', END)
  .compile();
