import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestApp, human, randomId, type TestApp } from './support/app.ts';
import { openRunDoor, type RunDoor } from './support/run-door.ts';

let server: TestApp;
let door: RunDoor;
beforeAll(async () => {
  server = await createTestApp();
  door = await openRunDoor(server);
});
afterAll(async () => {
  await server.stop();
  await door[Symbol.asyncDispose]();
});

const contents = (values: any) => values.messages.map((message: any) => message.content);

/** Messages that are made anew have new ids. */
const withoutIds = (values: unknown) =>
  JSON.parse(JSON.stringify(values, (key, value) => (key === 'id' ? undefined : value)));

/** A thread with these exchanges; the checkpoint that each of them ended with. */
async function conversation(...texts: string[]) {
  const threadId = await door.createThread();
  const ends: string[] = [];
  for (const text of texts) {
    await door.runToEnd({ threadId, assistantId: 'echo', input: human(text) });
    ends.push((await door.thread(threadId)).state.checkpointId);
  }
  return { threadId, ends };
}

const AT = `query ($id: ID!, $checkpointId: ID!) {
  thread(id: $id) { state(checkpointId: $checkpointId) {
    values next parentCheckpointId children { checkpointId source } parent { checkpointId }
  } }
}`;

async function stateAt(id: string, checkpointId: string | undefined): Promise<any> {
  return (await server.gql(AT, { id, checkpointId })).thread.state;
}

describe('a run from a checkpoint', () => {
  it('with input makes a branch, and the thread goes on from it', async () => {
    const { threadId, ends } = await conversation('one', 'two');
    const fork = await door.runToEnd({
      threadId,
      assistantId: 'echo',
      checkpointId: ends[0],
      input: human('other'),
    });
    const branch = ['one', 'echo: one', 'other', 'echo: other'];
    expect(contents(fork.output)).toEqual(branch);
    expect(contents((await door.thread(threadId)).values)).toEqual(branch);
    const later = await door.runToEnd({ threadId, assistantId: 'echo', input: human('later') });
    expect(contents(later.output)).toEqual([...branch, 'later', 'echo: later']);
    expect(contents((await stateAt(threadId, ends[1])).values)).toEqual([
      'one',
      'echo: one',
      'two',
      'echo: two',
    ]);
  });

  it('without input does again what came after it', async () => {
    const { threadId } = await conversation('one', 'two');
    const { history } = await door.thread(threadId);
    const asked = history.nodes.find(
      ({ source, values }: any) => source === 'LOOP' && contents(values).at(-1) === 'two',
    );
    const before = history.totalCount;
    const again = await door.runToEnd({
      threadId,
      assistantId: 'echo',
      checkpointId: asked.checkpointId,
    });
    expect(contents(again.output)).toEqual(['one', 'echo: one', 'two', 'echo: two']);
    expect((await door.thread(threadId)).history.totalCount).toBeGreaterThan(before);
  });

  it('can be forked twice, and a fork again: each branch returns its own values', async () => {
    const { threadId, ends } = await conversation('root');
    const fork = async (checkpointId: string | undefined, text: string) => {
      const run = await door.runToEnd({
        threadId,
        assistantId: 'echo',
        checkpointId,
        input: human(text),
      });
      return { run, end: (await door.thread(threadId)).state.checkpointId as string };
    };
    const a = await fork(ends[0], 'a');
    const b = await fork(ends[0], 'b');
    const aa = await fork(a.end, 'aa');
    const ab = await fork(a.end, 'ab');
    const said = (...texts: string[]) => texts.flatMap((text) => [text, `echo: ${text}`]);
    for (const [end, texts] of [
      [a.end, ['root', 'a']],
      [b.end, ['root', 'b']],
      [aa.end, ['root', 'a', 'aa']],
      [ab.end, ['root', 'a', 'ab']],
      [ends[0], ['root']],
    ] as const) {
      expect(contents((await stateAt(threadId, end)).values)).toEqual(said(...texts));
    }
    expect((await stateAt(threadId, ends[0])).children).toHaveLength(2);
    expect((await stateAt(threadId, a.end)).children).toHaveLength(2);
    const [child] = (await stateAt(threadId, a.end)).children;
    expect((await stateAt(threadId, child.checkpointId)).parent.checkpointId).toBe(a.end);
  });

  it('asks again what was answered after it, as a question of its own', async () => {
    const threadId = await door.createThread();
    await door.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const { state, interrupts } = await door.thread(threadId);
    const answer = (value: string) => ({
      threadId,
      assistantId: 'ask',
      command: { resume: [{ value }] },
    });
    expect((await door.runToEnd(answer('yes'))).output.answer).toBe('yes');
    const replay = await door.runToEnd({
      threadId,
      assistantId: 'ask',
      checkpointId: state.checkpointId,
    });
    expect(replay.status).toBe('INTERRUPTED');
    const [question] = (await door.thread(threadId)).interrupts;
    expect(question.id).not.toBe(interrupts[0].id);
    expect((await door.runToEnd(answer('no'))).output.answer).toBe('no');
  });

  it.each(['pair', 'rememberingPair', 'callerPair', 'sendAsk', 'toolAsk'])(
    'asks again what %s asked and was answered, as questions of their own',
    async (assistantId) => {
      const threadId = await door.createThread();
      const input = { ...human('ada'), jobs: ['a', 'b'] };
      await door.runToEnd({ threadId, assistantId, input });
      const { state, interrupts } = await door.thread(threadId);
      const values = (questions: any[]) => questions.map(({ value }) => value);

      /** Answers what is open until nothing is; the ids of all that was asked. */
      const answerAll = async () => {
        const ids: string[] = [];
        for (;;) {
          const open = (await door.thread(threadId)).interrupts;
          if (open.length === 0) return ids;
          const resume = open.map(({ id }: any) => ({ interruptId: id, value: 'yes' }));
          await door.runToEnd({ threadId, assistantId, command: { resume } });
          ids.push(...open.map(({ id }: any) => id));
        }
      };
      const first = await answerAll();
      const before = (await door.thread(threadId)).values;

      await door.runToEnd({ threadId, assistantId, checkpointId: state.checkpointId });
      const again = (await door.thread(threadId)).interrupts;
      expect(values(again)).toEqual(values(interrupts));
      for (const interruptId of first) {
        const late = { threadId, assistantId, command: { resume: [{ interruptId, value: 1 }] } };
        expect(await door.refusal(late)).toEqual({ code: 'CONFLICT' });
      }
      const second = await answerAll();
      expect(new Set([...first, ...second]).size).toBe(first.length * 2);
      const after = await door.thread(threadId);
      expect(after.status).toBe('IDLE');
      expect(withoutIds(after.values)).toEqual(withoutIds(before));
    },
  );

  it('that was written by hand, or forked, asks again what was answered after it', async () => {
    const threadId = await door.createThread();
    const run = (more = {}) => door.runToEnd({ threadId, assistantId: 'ask', ...more });
    await run({ input: {} });
    const { updateThreadState: edited } = await server.gql(
      `mutation ($id: ID!) {
        updateThreadState(id: $id, input: { values: { log: ["edit"] }, asNode: "before" }) { checkpointId }
      }`,
      { id: threadId },
    );
    await run();
    await run({ command: { resume: [{ value: 'first' }] } });

    const asked = new Set<string>();
    let from: string = edited.checkpointId;
    for (const value of ['from the edit', 'from the fork']) {
      expect(await run({ checkpointId: from })).toMatchObject({ status: 'INTERRUPTED' });
      const stopped = await door.thread(threadId);
      expect(stopped).toMatchObject({
        status: 'INTERRUPTED',
        values: { log: ['before', 'edit'] },
        state: { next: ['ask'] },
      });
      expect(stopped.history.nodes[0]).toMatchObject({
        source: 'FORK',
        parentCheckpointId: from,
        checkpointId: stopped.state.checkpointId,
      });
      asked.add(stopped.interrupts[0].id);
      expect(await run({ command: { resume: [{ value }] } })).toMatchObject({
        status: 'SUCCESS',
        output: { log: ['before', 'edit', 'ask'], answer: value },
      });
      from = stopped.state.checkpointId;
    }
    expect(asked.size).toBe(2);
    const { values } = await stateAt(threadId, edited.checkpointId);
    expect(values).toEqual({ log: ['before', 'edit'] });
  });

  it('of a subgraph goes on from there', async () => {
    const threadId = await door.createThread();
    await door.runToEnd({
      threadId,
      assistantId: 'nested',
      input: {},
    });
    const { thread } = await server.gql(
      `query ($id: ID!) { thread(id: $id) { history(first: 50) { nodes { checkpointId next tasks { name state { namespace } } } } } }`,
      { id: threadId },
    );
    const inner = thread.history.nodes.find((state: any) => state.next.includes('inner'));
    const { namespace } = inner.tasks[0].state ?? {};
    const below = await server.gql(
      `query ($id: ID!, $namespace: String!) { thread(id: $id) { history(first: 50, filter: { namespace: $namespace }) { nodes { checkpointId next namespace } } } }`,
      { id: threadId, namespace },
    );
    const two = below.thread.history.nodes.find((state: any) => state.next.includes('two'));
    const run = await door.runToEnd({
      threadId,
      assistantId: 'nested',
      checkpointId: two.checkpointId,
      checkpointNamespace: two.namespace,
    });
    expect(run).toMatchObject({ status: 'SUCCESS', error: null });
    const nodes = (await server.follow(run.id)).flatMap(({ node }) => node ?? []);
    expect(nodes).not.toContain('outer');
    expect(nodes).toContain('last');
  });

  it('is refused for a checkpoint that is none of the thread, and without a thread', async () => {
    const { threadId, ends } = await conversation('one');
    const other = await door.createThread();
    const refused = { code: 'BAD_USER_INPUT', argument: 'input.checkpointId' };
    const from = { assistantId: 'echo', input: human('x') };
    expect(await door.refusal({ ...from, threadId: other, checkpointId: ends[0] })).toEqual(
      refused,
    );
    expect(await door.refusal({ ...from, threadId, checkpointId: randomId() })).toEqual(refused);
    expect(await door.refusal({ ...from, checkpointId: ends[0] })).toEqual(refused);
    expect(
      await door.refusal({ ...from, threadId, checkpointId: ends[0], checkpointNamespace: 'x:1' }),
    ).toEqual(refused);
    expect((await door.thread(threadId)).runs.totalCount).toBe(1);
  });
});
