import path from 'node:path';
import { describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import type { Client, RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';

const graphsFile = path.join(import.meta.dirname, 'support/answer-graphs.json');
it.override('settings', { graphsFile });

const RUN = operation(`mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) {
    id threadId status error { name message }
    thread { status values interrupts { id node value } }
    events(first: 50) { nodes { ... on UpdatesEvent { node update } } }
  }
}`);

async function run(client: Client, input: RunInput) {
  const { createRun } = await client.gql(RUN, { input });
  const { thread, threadId } = createRun;
  if (!thread || !threadId) expect.fail('The run has no thread.');
  return { ...createRun, thread, threadId };
}

type EndedRun = Awaited<ReturnType<typeof run>>;

/** Returns the id of the first pending interrupt. */
function firstId(interrupts: { id: string }[]): string {
  return interrupts[0]?.id ?? expect.fail('The thread has no pending interrupt.');
}

/** Runs an assistant on a new thread. */
function begin(
  client: Client,
  assistantId: string,
  more: Partial<RunInput> = {},
): Promise<EndedRun> {
  return run(client, {
    assistantId,
    threadId: randomId(),
    ifThreadMissing: 'CREATE',
    input: {},
    ...more,
  });
}

const byText = (a: unknown, b: unknown) => String(a).localeCompare(String(b));
const asked = ({ thread }: EndedRun) => thread.interrupts.map(({ node, value }) => [node, value]);

/** Resumes the thread of `before`: answers its interrupts with these values. */
async function answer(
  client: Client,
  assistantId: string,
  before: EndedRun,
  answers: [question: unknown, value: unknown][],
  more: Partial<RunInput> = {},
): Promise<EndedRun> {
  const resume = answers.map(([question, value]) => ({
    interruptId: before.thread.interrupts.find((each) => each.value === question)?.id,
    value,
  }));
  return run(client, { assistantId, threadId: before.threadId, command: { resume }, ...more });
}

describe('a question that a node asks by throwing NodeInterrupt', () => {
  it('is its own, beside another one', async ({ client }) => {
    const first = await begin(client, 'thrownPair');
    expect(asked(first)).toEqual([
      ['a', 'A?'],
      ['b', 'B?'],
    ]);
    const { thread } = await client.gql(
      operation(
        `query ($id: ID!) { thread(id: $id) { state { tasks { name interrupts { value } } } } }`,
      ),
      { id: first.threadId },
    );
    expect(thread?.state?.tasks).toEqual([
      { name: 'a', interrupts: [{ value: 'A?' }] },
      { name: 'b', interrupts: [{ value: 'B?' }] },
    ]);
  });

  it('is its own, after another one', async ({ client }) => {
    const { threadId } = await begin(client, 'thrownRow');
    const UPDATE = operation(`mutation ($id: ID!) {
      updateThreadState(id: $id, input: { asNode: "__start__", values: { turn: 1 } }) { next }
    }`);
    await client.gql(UPDATE, { id: threadId });
    const next = await run(client, { assistantId: 'thrownRow', threadId, input: null });
    expect(next.status).toBe('INTERRUPTED');
    expect(asked(next)).toEqual([['b', 'B?']]);
  });

  it('is asked again where an answer, which its node cannot see, changes nothing', async ({
    client,
  }) => {
    const first = await begin(client, 'thrownPair');
    const next = await answer(client, 'thrownPair', first, [['A?', 'yes']]);
    expect(next.status).toBe('INTERRUPTED');
    expect(asked(next)).toEqual(asked(first));
    expect(next.thread.interrupts.map(({ id }) => id)).toEqual(
      first.thread.interrupts.map(({ id }) => id),
    );
  });

  it('ends with an answer that comes with the update that its node waits for', async ({
    client,
  }) => {
    const first = await begin(client, 'thrownPair');
    const id = firstId(first.thread.interrupts);
    const command = { resume: [{ interruptId: id, value: 'yes' }], update: { turn: 1 } };
    const next = await run(client, {
      assistantId: 'thrownPair',
      threadId: first.threadId,
      command,
    });
    expect(next).toMatchObject({ status: 'SUCCESS', thread: { values: { log: ['A?', 'B?'] } } });
  });

  it('is its own in a subgraph, and in a graph that a node calls', async ({ client }) => {
    expect(asked(await begin(client, 'thrownBelow')).toSorted(byText)).toEqual([
      ['a', 'A?'],
      ['b', 'B?'],
      ['call', 'A?'],
      ['call', 'B?'],
    ]);
  });
});

describe('an answer', () => {
  it.for([false, 0, '', null])('may be %j', async (value, { client }) => {
    const first = await begin(client, 'ask');
    const interruptId = firstId(first.thread.interrupts);
    const command = { resume: [{ interruptId, value }] };
    const next = await run(client, { assistantId: 'ask', threadId: first.threadId, command });
    expect(next).toMatchObject({ status: 'SUCCESS', thread: { values: { answer: value } } });
  });

  it('to a question that the thread does not have is refused, and so is a second one', async ({
    client,
  }) => {
    const first = await begin(client, 'questions');
    const interruptId = firstId(first.thread.interrupts);
    const { threadId } = first;
    const command = (id: string) => ({ resume: [{ interruptId: id, value: 1 }] });
    const input = { assistantId: 'questions', threadId };
    const [unknown] = await client.errors(RUN, {
      input: { ...input, command: command(randomId()) },
    });
    expect(unknown?.extensions['code']).toBe('CONFLICT');
    expect(asked(await run(client, { ...input, command: command(interruptId) }))).toEqual([
      ['both', 'second'],
    ]);
    const [again] = await client.errors(RUN, {
      input: { ...input, command: command(interruptId) },
    });
    expect(again?.extensions['code']).toBe('CONFLICT');
  });

  it('that fails its schema fails the run, and the question may be answered again', async ({
    client,
  }) => {
    const first = await begin(client, 'typed');
    const wrong = await answer(client, 'typed', first, [
      ['left?', 'text'],
      ['right?', 'kept'],
    ]);
    expect(wrong).toMatchObject({ status: 'ERROR', error: { name: '$ZodError' } });
    expect(asked(wrong)).toEqual([['askLeft', 'left?']]);
    const right = await answer(client, 'typed', wrong, [['left?', 0]]);
    expect(right).toMatchObject({
      status: 'SUCCESS',
      thread: { values: { left: 0, right: 'kept' } },
    });
  });

  it.for<[string, string]>([
    ['renamed', 'The graph "renamed" no longer has the interrupted node "ask".'],
    [
      'renamedBelow',
      'The graph "renamedBelow" no longer has the interrupted node "ask" in the namespace "inner:',
    ],
  ])(
    'to a node that is gone, in graph %s, fails the run and leaves the question open',
    async ([graph, message], { client }) => {
      const first = await begin(client, graph);
      const gone = { config: { configurable: { node: 'new' } } };
      const refused = await answer(client, graph, first, [['x?', 'early']], gone);
      expect(refused).toMatchObject({ status: 'ERROR', error: { name: 'NodeGoneError' } });
      expect(refused.error?.message).toContain(message);
      expect(refused.thread).toMatchObject({
        status: 'ERROR',
        interrupts: first.thread.interrupts,
      });
      const found = await answer(client, graph, first, [['x?', 'late']]);
      expect(found).toMatchObject({ status: 'SUCCESS', thread: { values: { answer: 'late' } } });
    },
  );
});

describe('a run that goes on', () => {
  it('tells the update of a node whose result comes from a cache', async ({ client }) => {
    for (const _time of ['first', 'second']) {
      const next = await answer(client, 'cached', await begin(client, 'cached'), [['x?', 1]]);
      expect(next.events.nodes.filter((event) => 'node' in event)).toEqual([
        { node: 'ask', update: { answer: 1 } },
        { node: 'costly', update: { made: 'for 1' } },
      ]);
    }
  });

  it('tells it also where the node is the first of the run', async ({ client }) => {
    const { threadId } = await begin(client, 'cached');
    const interruptId = firstId((await client.getThread(threadId)).interrupts);
    const command = { resume: [{ interruptId, value: 1 }] };
    const stop = { interruptBefore: ['costly'] };
    await run(client, { assistantId: 'cached', threadId, command, ...stop });
    const next = await run(client, { assistantId: 'cached', threadId, input: null });
    expect(next.events.nodes.filter((event) => 'node' in event)).toEqual([
      { node: 'costly', update: { made: 'for 1' } },
    ]);
  });
});
