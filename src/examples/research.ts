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

/** The channels of the writer: some of the parent graph's, and the report. */
const Writing = Annotation.Root({
  topic: Annotation<string>,
  findings: Annotation<string[]>,
  ...Report.spec,
});

/** Returns only the report: the parent graph would add `findings` a second time. */
const writer = new StateGraph({ state: Writing, output: Report })
  .addNode('structure', ({ findings }) => ({ outline: findings.toSorted() }))
  .addNode('draft', ({ topic, outline }) => ({
    report: [`# ${topic}`, ...outline.map((finding) => `- ${finding}`)].join('\n'),
  }))
  .addEdge(START, 'structure')
  .addEdge('structure', 'draft')
  .addEdge('draft', END)
  .compile({ name: 'writer' });

/** Plans a few questions, searches for all of them in parallel, and writes the report in a subgraph. The search is a simulation. */
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

/** Reports its progress with custom stream events: followers of the run receive them at once. */
function search(
  { question }: { question: string },
  { writer: report }: LangGraphRunnableConfig,
): typeof Research.Update {
  report?.({ status: 'searching', question });
  const finding = `${question} Nobody has written that down yet.`;
  report?.({ status: 'found', question, finding });
  return { findings: [finding] };
}
