import { Command, MemorySaver, Send, type StateSnapshot } from '@langchain/langgraph';
import { describe, expect } from 'vitest';
import { toPlain } from '../src/checkpoints/plain.ts';
import { withCheckpointer } from '../src/graphs/load.ts';
import { human } from './support/app.ts';
import type { Client, RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import * as graphs from './support/graphs.ts';
import { operation } from './support/graphql.ts';
import { selectThread } from './support/select-thread.ts';

// Plays each story twice: with LangGraph in memory, and on the server. After each step, both places show the same state. If
// LangGraph shows a wrong state, the step has the right state.

/** The state of a thread in either place. */
interface Shown {
  values: unknown;
  next: string[];
  tasks: { name: string; failed: boolean; asks: unknown[]; result: unknown }[];
  /** The pending interrupts of the graph and of its subgraphs. */
  questions: unknown[];
}

interface Step {
  input?: RunInput['input'];
  answers?: [question: unknown, answer: unknown][];
  update?: Record<string, unknown>;
  goto?: { node: string; input?: unknown }[];
  interruptBefore?: string[];
  interruptAfter?: string[];
  /** Updates the state, instead of a run. */
  edit?: { values: unknown; asNode?: string };
  /** Replaces wrong fields of LangGraph's getState. */
  right?: Partial<Shown>;
}

interface Place {
  play(step: Step): Promise<void>;
  show(): Promise<Shown>;
}

// ── In memory ────────────────────────────────────────────────────────────────────────────────

function inMemory(compiled: any): Place {
  const graph = withCheckpointer(compiled, new MemorySaver());
  const config = { configurable: { thread_id: 'thread' } };
  const state = () => graph.getState(config, { subgraphs: true });

  async function inputOf({ input, answers, update, goto }: Step): Promise<unknown> {
    if (!answers && !update && !goto) return input ?? null;
    const asked = leaves(await state()).flatMap((task) => task.interrupts);
    const resume = answers?.map(([question, answer]) => {
      const found = asked.find(({ value }) => same(value, question));
      return [found?.id ?? expect.fail(`Not asked: ${JSON.stringify(question)}`), answer];
    });
    return new Command({
      ...(resume && { resume: Object.fromEntries(resume) }),
      ...(update && { update }),
      ...(goto && {
        goto: goto.map(({ node, input: own }) => (own === undefined ? node : new Send(node, own))),
      }),
    });
  }

  return {
    async play(step) {
      const { edit, interruptBefore, interruptAfter } = step;
      if (edit) {
        await graph.updateState(config, edit.values, edit.asNode);
        return;
      }
      const options = all({ interruptBefore, interruptAfter });
      await graph.invoke(await inputOf(step), { ...config, ...options }).catch(() => {});
    },
    async show() {
      const found = await state();
      return plain({
        values: found.values ?? {},
        next: found.next,
        tasks: found.tasks.map((task) => ({
          name: task.name,
          failed: task.error !== undefined,
          asks: task.interrupts.map(({ value }) => value ?? null),
          result: resultOf(task) ?? null,
        })),
        questions: leaves(found).flatMap(({ interrupts }) => interrupts.map(({ value }) => value)),
      });
    },
  };
}

type Task = StateSnapshot['tasks'][number];

const resultOf = (task: Task) => ('result' in task ? task.result : undefined);

/** Returns the tasks without a subgraph, and the tasks with a subgraph before its first step. */
function leaves({ tasks }: StateSnapshot): Task[] {
  return tasks.flatMap((task) => {
    const { state } = task;
    const below = state && 'tasks' in state && state.tasks.length > 0 ? state : undefined;
    return below ? leaves(below) : task;
  });
}

/** Replaces a list with a star by the star: LangGraph takes the star for all nodes only outside a list. */
function all(stops: Record<string, string[] | undefined>): Record<string, string[] | '*'> {
  return Object.fromEntries(
    Object.entries(stops).flatMap(([key, nodes]) =>
      nodes ? [[key, nodes.includes('*') ? ('*' as const) : nodes]] : [],
    ),
  );
}

// ── On the server ─────────────────────────────────────────────────────────────────────────────────

const SHOWN = `
  status values interrupts { id value }
  state { values next tasks { name error result interrupts { value } } }`;

/** The nodes before and after each checkpoint, read without the values and with them. */
const STEPS = `
  alone: state { next }
  history(first: 100) { nodes { source next ran } }
  whole: history(first: 100) { nodes { writes values next } }`;

async function checkSteps(client: Client, threadId: string, next: unknown): Promise<void> {
  const { alone, history, whole } = await selectThread(client, threadId, STEPS);
  expect(alone?.next).toEqual(next);
  expect(history.nodes.map((state) => state.next)).toEqual(whole.nodes.map((state) => state.next));
  for (const [i, { source, ran }] of history.nodes.entries()) {
    const wrote = source === 'LOOP' ? Object.keys(whole.nodes[i]?.writes ?? {}) : [];
    expect(ran).toEqual(expect.arrayContaining(wrote));
  }
}

const UPDATE = operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { next }
}`);

async function onServer(client: Client, assistantId: string): Promise<Place> {
  const threadId = await client.createThread();
  const thread = () => selectThread(client, threadId, SHOWN);

  async function commandOf({ answers, update, goto }: Step): Promise<RunInput['command']> {
    const { interrupts } = await thread();
    const resume = answers?.map(([question, value]) => {
      const found = interrupts.find((each) => same(each.value, question));
      return { interruptId: found?.id, value };
    });
    return { ...(resume && { resume }), ...(update && { update }), ...(goto && { goto }) };
  }

  return {
    async play({ edit, ...step }) {
      if (edit) {
        await client.gql(UPDATE, { id: threadId, input: edit });
        return;
      }
      const { input, interruptBefore, interruptAfter } = step;
      const commands = step.answers ?? step.update ?? step.goto;
      const run = await client.runToEnd({
        threadId,
        assistantId,
        interruptBefore,
        interruptAfter,
        ...(commands ? { command: await commandOf(step) } : { input }),
      });
      const { status, state } = await thread();
      const waits = state?.next.length ? 'INTERRUPTED' : 'IDLE';
      expect([run.status, status]).toEqual(
        run.error ? ['ERROR', 'ERROR'] : [waits === 'IDLE' ? 'SUCCESS' : waits, waits],
      );
    },
    async show() {
      const { values, interrupts, state } = await thread();
      expect(values).toEqual(state?.values);
      await checkSteps(client, threadId, state?.next);
      return plain({
        values,
        next: state?.next ?? [],
        tasks: (state?.tasks ?? []).map((task) => ({
          name: task.name,
          failed: task.error !== null,
          asks: task.interrupts.map(({ value }) => value),
          result: task.result,
        })),
        questions: interrupts.map(({ value }) => value),
      });
    },
  };
}

// ── Both ─────────────────────────────────────────────────────────────────────────────────────

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** Returns the state as JSON, without the ids of messages. */
function plain(shown: Shown): Shown {
  const text = JSON.stringify(toPlain(shown), (key, value) => (key === 'id' ? undefined : value));
  return JSON.parse(text) as Shown;
}

const byName = new Map<string, unknown>(Object.entries(graphs));

type Story = [graph: keyof typeof graphs, what: string, steps: Step[]];

async function playBoth(client: Client, [name, , story]: Story): Promise<void> {
  const [theirs, ours] = [inMemory(byName.get(name)), await onServer(client, name)];
  for (const [n, step] of story.entries()) {
    await theirs.play(step);
    await ours.play(step);
    const title = `after step ${n + 1}: ${JSON.stringify(step)}`;
    const [expected, shown] = [await theirs.show(), await ours.show()];
    const corrected = Object.keys(step.right ?? {}) as (keyof Shown)[];
    const needless = corrected.filter((key) => same(expected[key], step.right?.[key]));
    expect(needless, `LangGraph is right ${title}`).toEqual([]);
    expect(shown, title).toEqual({ ...expected, ...step.right });
  }
}

const goOn: Step = {};

describe('What LangGraph makes in memory is made here', () => {
  it.for<Story>([
    ['steps', 'to its end, twice', [{ input: {} }, { input: { log: ['again'] } }]],
    ['parallel', 'to its end', [{ input: { log: ['in'] } }]],
    ['fanOut', 'to its end', [{ input: { jobs: ['a', 'b', 'c'] } }]],
    ['nested', 'to its end, twice', [{ input: {} }, { input: {} }]],
    ['caller', 'to its end', [{ input: {} }]],
    ['remembering', 'to its end, twice', [{ input: {} }, { input: {} }]],
    ['fail', 'to its error, and on', [{ input: { fail: true } }, { update: { fail: false } }]],
    ['halfFail', 'to its error, twice', [{ input: {} }, goOn]],
    ['boom', 'to its error', [{ input: { what: 'text' } }]],
  ])('by %s: %s', (story, { client }) => playBoth(client, story));
});

describe('What LangGraph stops at is stopped at here', () => {
  it.for<Story>([
    ['steps', 'before a node', [{ input: {}, interruptBefore: ['step3'] }, goOn]],
    [
      'steps',
      'after a node, and before another one',
      [{ input: {}, interruptAfter: ['step2'] }, { interruptBefore: ['step9'] }, goOn],
    ],
    [
      'parallel',
      'before every node',
      [
        { input: {}, interruptBefore: ['*'] },
        { interruptBefore: ['*'] },
        { interruptBefore: ['*'] },
      ],
    ],
    ['parallel', 'after one of two', [{ input: {}, interruptAfter: ['left'] }, goOn]],
    [
      'fanOut',
      'before what was sent, and after it',
      [
        { input: { jobs: ['a', 'b'] }, interruptBefore: ['work'] },
        { interruptAfter: ['work'] },
        goOn,
      ],
    ],
    ['nested', 'before a subgraph', [{ input: {}, interruptBefore: ['inner'] }, goOn]],
    ['nested', 'after a subgraph', [{ input: {}, interruptAfter: ['inner'] }, goOn]],
    ['weather', 'within a subgraph, as it is compiled', [{ input: human('in Rome') }, goOn]],
    [
      'steps',
      'and goes on from what was written by hand',
      [
        { input: {}, interruptBefore: ['step3'] },
        { edit: { values: { log: ['edit'] } } },
        { interruptBefore: ['step5'] },
        { edit: { values: { log: ['skip'] }, asNode: 'step8' } },
        goOn,
      ],
    ],
    [
      'parallel',
      'and goes on from what was written as one of two',
      [
        { input: {}, interruptBefore: ['join'] },
        { edit: { values: { log: ['edit'] }, asNode: 'left' } },
        { edit: { values: null, asNode: 'right' } },
        goOn,
      ],
    ],
    [
      'lookUp',
      'and goes on from what was answered for a tool',
      [
        { input: human('Rome'), interruptBefore: ['tools'] },
        { edit: { values: null } },
        { interruptAfter: ['tools'] },
        goOn,
      ],
    ],
  ])('by %s: %s', (story, { client }) => playBoth(client, story));
});

describe('What a command does in LangGraph it does here', () => {
  it.for<Story>([
    [
      'steps',
      'goto',
      [{ input: {} }, { goto: [{ node: 'step9' }] }, { goto: [{ node: 'step1' }] }],
    ],
    ['steps', 'goto two nodes', [{ input: {} }, { goto: [{ node: 'step9' }, { node: 'step3' }] }]],
    [
      'fanOut',
      'goto with input',
      [
        { input: { jobs: ['a'] } },
        {
          goto: [
            { node: 'work', input: { job: 'b' } },
            { node: 'work', input: { job: 'c' } },
          ],
        },
      ],
    ],
    [
      'fanOut',
      'goto with input and without, and an update',
      [
        { input: { jobs: ['a'] } },
        {
          goto: [{ node: 'plan' }, { node: 'work', input: { job: 'b' } }],
          update: { jobs: ['x', 'y'], log: ['noted'] },
        },
      ],
    ],
    ['steps', 'update alone', [{ input: {} }, { update: { log: ['noted'] } }]],
    [
      'route',
      'goto and update',
      [
        { input: { total: 1 } },
        {
          goto: [{ node: 'pick' }],
          update: { total: 20 },
        },
      ],
    ],
    ['nested', 'goto a subgraph', [{ input: {} }, { goto: [{ node: 'inner' }] }]],
    [
      'steps',
      'goto, on a thread that has stopped before a node',
      [{ input: {}, interruptBefore: ['step3'] }, { goto: [{ node: 'step8' }] }],
    ],
    [
      'steps',
      'update, on a thread that has stopped before a node',
      [{ input: {}, interruptBefore: ['step3'] }, { update: { log: ['noted'] } }],
    ],
  ])('by %s: %s', (story, { client }) => playBoth(client, story));
});

const GO_ON = { question: 'Go on?' };
const mail = (to: string) => ({ question: 'Send?', to });

describe('What LangGraph asks is asked here, and its answers do the same', () => {
  it.for<Story>([
    ['ask', 'an answer', [{ input: {} }, { answers: [[GO_ON, 'yes']] }]],
    ...[false, 0, '', null, [], {}, [1, [2]], { a: null }].map((answer): Story => [
      'ask',
      `the answer ${JSON.stringify(answer)}`,
      [{ input: {} }, { answers: [[GO_ON, answer]] }],
    ]),
    ['askNull', 'an answer', [{ input: {} }, { answers: [[null, 'yes']] }]],
    ['ask', 'no answer', [{ input: {} }, goOn, { answers: [[GO_ON, 1]] }]],
    ['ask', 'plain input', [{ input: {} }, { input: { log: ['in'] } }]],
    [
      'ask',
      'an answer and an update',
      [{ input: {} }, { answers: [[GO_ON, 'yes']], update: { log: ['noted'] } }],
    ],
    [
      'ask',
      'an answer and goto',
      [{ input: {} }, { answers: [[GO_ON, 'yes']], goto: [{ node: 'before' }] }],
    ],
    ['ask', 'an update', [{ input: {} }, { update: { log: ['noted'] } }]],
    ['ask', 'goto', [{ input: {} }, { goto: [{ node: 'before' }] }]],
    ['ask', 'goto the end', [{ input: {} }, { goto: [{ node: '__end__' }] }]],
    ['steps', 'goto the end', [{ input: {} }, { goto: [{ node: '__end__' }] }]],
    [
      'ask',
      'an answer, and a stop after the node',
      [{ input: {} }, { answers: [[GO_ON, 1]], interruptAfter: ['ask'] }],
    ],
    [
      'ask',
      'an edit as the node',
      [{ input: {} }, { edit: { values: { answer: 1 }, asNode: 'ask' } }],
    ],
    [
      'ask',
      'an edit before the node',
      [
        { input: {} },
        { edit: { values: { log: ['edit'] }, asNode: 'before' } },
        goOn,
        { answers: [[GO_ON, 2]] },
      ],
    ],
    [
      'panel',
      'all answers at once',
      [{ input: {} }, { answers: ['three', 'one', 'two'].map((name) => [name, name]) }],
    ],
    [
      'sendAsk',
      'all answers at once',
      [{ input: { jobs: ['a', 'b'] } }, { answers: ['b', 'a'].map((job) => [{ job }, job]) }],
    ],
    ['toolAsk', 'an answer', [{ input: human('ada') }, { answers: [[mail('ada'), true]] }]],
    ['nestedAsk', 'an answer', [{ input: {} }, { answers: [[{ question: 'Really?' }, 1]] }]],
    ['deepAsk', 'an answer', [{ input: {} }, { answers: [[{ from: 'below' }, 1]] }]],
    [
      'twins',
      'both answers at once',
      [
        { input: {} },
        {
          answers: [
            [{ from: 'right' }, 'R'],
            [{ from: 'left' }, 'L'],
          ],
        },
      ],
    ],
    [
      'rememberingAsk',
      'an answer, in two turns',
      [
        { input: {} },
        { answers: [[{ from: 'inside' }, 1]] },
        { input: {} },
        { answers: [[{ from: 'inside' }, 2]] },
      ],
    ],
  ])('by %s: %s', (story, { client }) => playBoth(client, story));
});

const asks = (name: string, ...questions: unknown[]) => ({
  name,
  failed: false,
  asks: questions,
  result: null,
});
const ended = (name: string, result: unknown) => ({ name, failed: false, asks: [], result });

describe("Where LangGraph's getState is wrong", () => {
  it.for<Story>([
    [
      'questions',
      'a task is next that has asked on, which LangGraph leaves out',
      [
        { input: {} },
        { answers: [['first', 1]], right: { next: ['both'] } },
        { answers: [['second', 2]] },
        { answers: [['third', 3]] },
      ],
    ],
    [
      'toolAsk',
      'a tool is next that has asked on, which LangGraph leaves out',
      [
        { input: human('ada bob') },
        { answers: [[mail('ada'), 1]], right: { next: ['tools'] } },
        { answers: [[mail('bob'), 2]] },
      ],
    ],
    [
      'panel',
      'a question is not open any more that was answered, which LangGraph still lists',
      [
        { input: {} },
        {
          answers: [['two', 2]],
          right: {
            questions: ['one', 'three'],
            tasks: [asks('one', 'one'), ended('two', { log: ['two: 2'] }), asks('three', 'three')],
          },
        },
        {
          answers: [
            ['one', 1],
            ['three', 3],
          ],
        },
      ],
    ],
    [
      'panel',
      'a question is not open any more that was answered by a command that updates, too',
      [
        { input: {} },
        {
          answers: [['one', 1]],
          update: { log: ['noted'] },
          right: {
            questions: ['two', 'three'],
            tasks: [ended('one', { log: ['one: 1'] }), asks('two', 'two'), asks('three', 'three')],
          },
        },
        {
          answers: [
            ['two', 2],
            ['three', 3],
          ],
        },
      ],
    ],
    [
      'sendAsk',
      'a question of a Send is not open any more that was answered',
      [
        { input: { jobs: ['a', 'b'] } },
        {
          answers: [[{ job: 'b' }, 2]],
          right: {
            questions: [{ job: 'a' }],
            tasks: [asks('ask', { job: 'a' }), ended('ask', { log: ['b: 2'] })],
          },
        },
        { answers: [[{ job: 'a' }, 1]] },
      ],
    ],
    [
      'twins',
      'a question of a subgraph is not open any more that was answered',
      [
        { input: {} },
        {
          answers: [[{ from: 'left' }, 'L']],
          right: {
            questions: [{ from: 'right' }],
            tasks: [ended('left', { log: ['left: L'] }), asks('right', { from: 'right' })],
          },
        },
        { answers: [[{ from: 'right' }, 'R']] },
      ],
    ],
  ])('by %s: %s', (story, { client }) => playBoth(client, story));
});
