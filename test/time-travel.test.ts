import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import { nodesOf, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { contentsOf, operation } from './support/graphql.ts';

/** Removes the ids: a repeated step gives its messages new ids. */
const withoutIds = (values: unknown) =>
  JSON.parse(JSON.stringify(values, (key, value) => (key === 'id' ? undefined : value)));

/** Sends messages to a thread, and returns the checkpoint at the end of each run. */
async function conversation(client: Client, ...texts: string[]) {
  const threadId = await client.createThread();
  const ends: string[] = [];
  for (const text of texts) {
    await client.runToEnd({ threadId, assistantId: 'echo', input: human(text) });
    ends.push((await client.getThread(threadId)).state?.checkpointId ?? '');
  }
  return { threadId, ends };
}

const AT = operation(`query ($id: ID!, $checkpointId: ID!) {
  thread(id: $id) { state(checkpointId: $checkpointId) {
    values next parentCheckpointId children { checkpointId source } parent { checkpointId }
  } }
}`);

async function stateAt(client: Client, id: string, checkpointId = '') {
  const { thread } = await client.gql(AT, { id, checkpointId });
  return thread?.state ?? expect.fail(`No state ${checkpointId}`);
}

describe('a run from a checkpoint', () => {
  it('with input makes a branch, and the thread goes on from it', async ({ client }) => {
    const { threadId, ends } = await conversation(client, 'one', 'two');
    const fork = await client.runToEnd({
      threadId,
      assistantId: 'echo',
      checkpointId: ends[0],
      input: human('other'),
    });
    const branch = ['one', 'echo: one', 'other', 'echo: other'];
    expect(contentsOf(fork.output)).toEqual(branch);
    expect(contentsOf((await client.getThread(threadId)).values)).toEqual(branch);
    const later = await client.runToEnd({ threadId, assistantId: 'echo', input: human('later') });
    expect(contentsOf(later.output)).toEqual([...branch, 'later', 'echo: later']);
    expect(contentsOf((await stateAt(client, threadId, ends[1])).values)).toEqual([
      'one',
      'echo: one',
      'two',
      'echo: two',
    ]);
  });

  it('without input does again what came after it', async ({ client }) => {
    const { threadId } = await conversation(client, 'one', 'two');
    const { history } = await client.getThread(threadId);
    const asked = history.nodes.find(
      ({ source, values }) => source === 'LOOP' && contentsOf(values).at(-1) === 'two',
    );
    const before = history.totalCount;
    const again = await client.runToEnd({
      threadId,
      assistantId: 'echo',
      checkpointId: asked?.checkpointId,
    });
    expect(contentsOf(again.output)).toEqual(['one', 'echo: one', 'two', 'echo: two']);
    expect((await client.getThread(threadId)).history.totalCount).toBeGreaterThan(before);
  });

  it('can be forked twice, and a fork again: each branch returns its own values', async ({
    client,
  }) => {
    const { threadId, ends } = await conversation(client, 'root');
    const fork = async (checkpointId: string | undefined, text: string) => {
      const run = await client.runToEnd({
        threadId,
        assistantId: 'echo',
        checkpointId,
        input: human(text),
      });
      return { run, end: (await client.getThread(threadId)).state?.checkpointId };
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
      expect(contentsOf((await stateAt(client, threadId, end)).values)).toEqual(said(...texts));
    }
    expect((await stateAt(client, threadId, ends[0])).children).toHaveLength(2);
    expect((await stateAt(client, threadId, a.end)).children).toHaveLength(2);
    const [child] = (await stateAt(client, threadId, a.end)).children;
    expect((await stateAt(client, threadId, child?.checkpointId)).parent?.checkpointId).toBe(a.end);
  });

  it('asks again what was answered after it, as a question of its own', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const { state, interrupts } = await client.getThread(threadId);
    const answer = (value: string) => ({
      threadId,
      assistantId: 'ask',
      command: { resume: [{ value }] },
    });
    expect((await client.runToEnd(answer('yes'))).output.answer).toBe('yes');
    const replay = await client.runToEnd({
      threadId,
      assistantId: 'ask',
      checkpointId: state?.checkpointId,
    });
    expect(replay.status).toBe('INTERRUPTED');
    const [question] = (await client.getThread(threadId)).interrupts;
    expect(question?.id).not.toBe(interrupts[0]?.id);
    expect((await client.runToEnd(answer('no'))).output.answer).toBe('no');
  });

  it.for(['pair', 'rememberingPair', 'callerPair', 'sendAsk', 'toolAsk'])(
    'asks again what %s asked and was answered, as questions of their own',
    async (assistantId, { client }) => {
      const threadId = await client.createThread();
      const input = { ...human('ada'), jobs: ['a', 'b'] };
      await client.runToEnd({ threadId, assistantId, input });
      const { state, interrupts } = await client.getThread(threadId);
      const values = (questions: { value: unknown }[]) => questions.map(({ value }) => value);

      /** Answers all pending interrupts until none are left, and returns their ids. */
      const answerAll = async () => {
        const ids: string[] = [];
        for (;;) {
          const open = (await client.getThread(threadId)).interrupts;
          if (open.length === 0) return ids;
          const resume = open.map(({ id }) => ({ interruptId: id, value: 'yes' }));
          await client.runToEnd({ threadId, assistantId, command: { resume } });
          ids.push(...open.map(({ id }) => id));
        }
      };
      const first = await answerAll();
      const before = (await client.getThread(threadId)).values;

      await client.runToEnd({ threadId, assistantId, checkpointId: state?.checkpointId });
      const again = (await client.getThread(threadId)).interrupts;
      expect(values(again)).toEqual(values(interrupts));
      for (const interruptId of first) {
        const late = { threadId, assistantId, command: { resume: [{ interruptId, value: 1 }] } };
        expect(await client.refusal(late)).toEqual({ code: 'CONFLICT' });
      }
      const second = await answerAll();
      expect(new Set([...first, ...second]).size).toBe(first.length * 2);
      const after = await client.getThread(threadId);
      expect(after.status).toBe('IDLE');
      expect(withoutIds(after.values)).toEqual(withoutIds(before));
    },
  );

  it('that was written by hand, or forked, asks again what was answered after it', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const run = (more = {}) => client.runToEnd({ threadId, assistantId: 'ask', ...more });
    await run({ input: {} });
    const { updateThreadState: edited } = await client.gql(
      operation(`mutation ($id: ID!) {
        updateThreadState(id: $id, input: { values: { log: ["edit"] }, asNode: "before" }) { checkpointId }
      }`),
      { id: threadId },
    );
    await run();
    await run({ command: { resume: [{ value: 'first' }] } });

    const asked = new Set<string>();
    let from: string = edited.checkpointId;
    for (const value of ['from the edit', 'from the fork']) {
      expect(await run({ checkpointId: from })).toMatchObject({ status: 'INTERRUPTED' });
      const stopped = await client.getThread(threadId);
      expect(stopped).toMatchObject({
        status: 'INTERRUPTED',
        values: { log: ['before', 'edit'] },
        state: { next: ['ask'] },
      });
      expect(stopped.history.nodes[0]).toMatchObject({
        source: 'FORK',
        parentCheckpointId: from,
        checkpointId: stopped.state?.checkpointId,
      });
      asked.add(stopped.interrupts[0]?.id ?? '');
      expect(await run({ command: { resume: [{ value }] } })).toMatchObject({
        status: 'SUCCESS',
        output: { log: ['before', 'edit', 'ask'], answer: value },
      });
      from = stopped.state?.checkpointId ?? '';
    }
    expect(asked.size).toBe(2);
    const { values } = await stateAt(client, threadId, edited.checkpointId);
    expect(values).toEqual({ log: ['before', 'edit'] });
  });

  it('of a subgraph goes on from there', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({
      threadId,
      assistantId: 'nested',
      input: {},
    });
    const { thread } = await client.gql(
      operation(
        `query ($id: ID!) { thread(id: $id) { history(first: 50) { nodes { checkpointId next tasks { name state { namespace } } } } } }`,
      ),
      { id: threadId },
    );
    const inner = thread?.history.nodes.find((state) => state.next.includes('inner'));
    const { namespace } = inner?.tasks[0]?.state ?? { namespace: '' };
    const below = await client.gql(
      operation(
        `query ($id: ID!, $namespace: String!) { thread(id: $id) { history(first: 50, filter: { namespace: $namespace }) { nodes { checkpointId next namespace } } } }`,
      ),
      { id: threadId, namespace },
    );
    const two = below.thread?.history.nodes.find((state) => state.next.includes('two'));
    const run = await client.runToEnd({
      threadId,
      assistantId: 'nested',
      checkpointId: two?.checkpointId,
      checkpointNamespace: two?.namespace,
    });
    expect(run).toMatchObject({ status: 'SUCCESS', error: null });
    const nodes = nodesOf(await client.follow(run.id));
    expect(nodes).not.toContain('outer');
    expect(nodes).toContain('last');
  });

  it('is refused for a checkpoint that is none of the thread, and without a thread', async ({
    client,
  }) => {
    const { threadId, ends } = await conversation(client, 'one');
    const other = await client.createThread();
    const refused = { code: 'BAD_USER_INPUT', argument: 'input.checkpointId' };
    const from = { assistantId: 'echo', input: human('x') };
    expect(await client.refusal({ ...from, threadId: other, checkpointId: ends[0] })).toEqual(
      refused,
    );
    expect(await client.refusal({ ...from, threadId, checkpointId: randomId() })).toEqual(refused);
    expect(await client.refusal({ ...from, checkpointId: ends[0] })).toEqual(refused);
    expect(
      await client.refusal({
        ...from,
        threadId,
        checkpointId: ends[0],
        checkpointNamespace: 'x:1',
      }),
    ).toEqual(refused);
    expect((await client.getThread(threadId)).runs.totalCount).toBe(1);
  });
});
