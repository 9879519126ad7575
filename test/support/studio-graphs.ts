import { Annotation, END, START, StateGraph, interrupt } from '@langchain/langgraph';
import { z } from 'zod';

// Graphs for tests of the studio. studio-graphs.json beside this file names them, with two examples.

const Trip = z.object({
  name: z.string().min(2),
  travellers: z.int().min(1).max(9),
  stops: z.array(z.object({ city: z.string().min(1), sights: z.array(z.string()) })).min(1),
  pay: z.discriminatedUnion('by', [
    z.object({ by: z.literal('card'), number: z.string() }),
    z.object({ by: z.literal('invoice'), address: z.string() }),
  ]),
  insured: z.boolean(),
});

/** Node `ask` asks for a trip, and writes the answer to `trip`. */
export const trip = new StateGraph(Annotation.Root({ trip: Annotation<unknown> }))
  .addNode('ask', () => ({ trip: interrupt('Where to?', { responseSchema: Trip }) }))
  .addEdge(START, 'ask')
  .addEdge('ask', END)
  .compile();
