import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import { Annotation, END, Send, START, StateGraph } from '@langchain/langgraph';

const Report = Annotation.Root({ outline: Annotation<string[]>, report: Annotation<string> });

const Research = Annotation.Root({
  topic: Annotation<string>,
  questions: Annotation<string[]>,
  findings: Annotation<string[]>({
    reducer: (known, found) => known.concat(found),
    default: () => [],
  }),
  ...Report.spec,
});

/** What the writer takes from the graph that it is a node of, and what it adds. */
const Writing = Annotation.Root({
  topic: Annotation<string>,
  findings: Annotation<string[]>,
  ...Report.spec,
});

/** Gives back the report alone: `findings` would be added to the parent's a second time. */
const writer = new StateGraph({ state: Writing, output: Report })
  .addNode('structure', ({ findings }) => ({ outline: findings.toSorted() }))
  .addNode('draft', ({ topic, outline }) => ({
    report: [`# ${topic}`, ...outline.map((finding) => `- ${finding}`)].join('\n'),
  }))
  .addEdge(START, 'structure')
  .addEdge('structure', 'draft')
  .addEdge('draft', END)
  .compile({ name: 'writer' });

/** Plans a few questions, looks all of them up at once, and has a subgraph write the report. It pretends: nothing is searched. */
export const graph = new StateGraph(Research)
  .addNode('plan', plan)
  .addNode('search', search)
  .addNode('writer', writer)
  .addEdge(START, 'plan')
  .addConditionalEdges('plan', searchEach, ['search'])
  .addEdge('search', 'writer')
  .addEdge('writer', END)
  .compile({ name: 'research' });

function plan({ topic }: typeof Research.State): typeof Research.Update {
  return { questions: [`What is ${topic}?`, `Who needs ${topic}?`, `What comes after ${topic}?`] };
}

/** One `search` task for each question, all in the same superstep. */
function searchEach({ questions }: typeof Research.State): Send[] {
  return questions.map((question) => new Send('search', { question }));
}

/** Tells how far it is through custom stream events, which followers of the run see at once. */
function search(
  { question }: { question: string },
  { writer: tell }: LangGraphRunnableConfig,
): typeof Research.Update {
  tell?.({ status: 'searching', question });
  const finding = `${question} Nobody has written that down yet.`;
  tell?.({ status: 'found', question, finding });
  return { findings: [finding] };
}
