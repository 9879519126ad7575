import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, randomId, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { contentsOf, operation } from './support/graphql.ts';
import { onlyInterrupt, waitingThread } from './support/interrupts.ts';
import { selectThread } from './support/select-thread.ts';
import { INTERRUPT } from './support/state-fields.ts';

const COPY = operation(`mutation ($id: ID!) {
  copyThread(id: $id) { id status metadata values error { name message } }
}`);

const copyThread = async (client: Client, id: string) =>
  (await client.gql(COPY, { id })).copyThread;

const COPY_BRANCH = operation(`mutation ($id: ID!, $checkpointId: ID!) {
  copyThread(id: $id, checkpointId: $checkpointId) { id status metadata graphId values error { name } }
}`);

describe('copyThread', () => {
  /** Reads all fields of a thread and of its history, without the id of the thread. */
  async function everything(client: Client, id: string) {
    const { history, ...thread } = await selectThread(
      client,
      id,
      `status metadata values error { name message } history(first: 100) { totalCount nodes {
        checkpointId namespace parentCheckpointId source step runId run { id status }
        values messages { messageId type text } writes next
        tasks {
          taskId name path error result state { namespace }
          interrupts { id value node checkpointId checkpointNamespace run { id } }
        }
        interrupts { id value node checkpointId checkpointNamespace run { id } } metadata createdAt
      } }`,
    );
    const nodes = history.nodes.map(({ metadata: { thread_id: _, ...metadata }, ...state }) => ({
      ...state,
      metadata,
    }));
    return { ...thread, history: { ...history, nodes } };
  }

  it('makes a thread with the same history, values and status', async ({ client }) => {
    const id = await client.createThread({ metadata: { user: 'ada' } });
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('one') });
    await client.runToEnd({ threadId: id, assistantId: 'nested', input: {} });
    const copy = await copyThread(client, id);
    expect(await everything(client, copy.id)).toEqual(await everything(client, id));
    expect(copy).toMatchObject({ status: 'IDLE', metadata: { user: 'ada', graph_id: 'nested' } });
    expect(await selectThread(client, copy.id, 'runs { totalCount }')).toEqual({
      runs: { totalCount: 0 },
    });
  });

  it('copies a thread as it is while a run goes on, and the copy can go on alone', async ({
    client,
  }) => {
    const id = await client.createThread();
    const gate = createGate();
    const run = await client.startRun({
      threadId: id,
      assistantId: 'gate',
      input: { file: gate.file },
    });
    await until(async () => (await client.getThread(id)).state?.next[0] === 'hold');
    const copy = await copyThread(client, id);
    expect(copy).toMatchObject({ status: 'IDLE', values: { file: gate.file, log: ['before'] } });
    await gate.open();
    const onCopy = await client.runToEnd({ threadId: copy.id, assistantId: 'gate' });
    expect(onCopy.output.log).toEqual(['before', 'hold', 'after']);
    expect(await client.untilEnded(run.id)).toMatchObject({ status: 'SUCCESS' });
    expect((await client.getThread(id)).values.log).toEqual(['before', 'hold', 'after']);
  });

  it('copies an empty thread, and one that failed', async ({ client }) => {
    const [empty, failed] = [await client.createThread(), await client.createThread()];
    await client.runToEnd({ threadId: failed, assistantId: 'fail', input: { fail: true } });
    for (const id of [empty, failed]) {
      const copy = await copyThread(client, id);
      expect(await everything(client, copy.id)).toEqual(await everything(client, id));
    }
  });

  it('gives the open questions of the copy ids of their own', async ({ client }) => {
    for (const assistantId of ['ask', 'nestedAsk']) {
      const id = await waitingThread(client, assistantId);
      const copy = await copyThread(client, id);
      expect(copy.status).toBe('INTERRUPTED');
      const fields = `interrupts { ${INTERRUPT} } state { interrupts { id } }` as const;
      const original = (await selectThread(client, id, fields)).interrupts[0];
      const copied = await selectThread(client, copy.id, fields);
      const { id: ownId } = await onlyInterrupt(client, copy.id);
      expect(ownId).not.toBe(original?.id);
      expect(copied.state?.interrupts).toEqual([{ id: ownId }]);
      expect(copied.interrupts).toEqual([
        { ...original, id: ownId, threadId: copy.id, thread: { id: copy.id } },
      ]);
    }
  });

  it('is not affected by what happens to the other', async ({ client }) => {
    const id = await client.createThread();
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('shared') });
    const copy = await copyThread(client, id);
    const before = await everything(client, copy.id);
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('only here') });
    expect(await everything(client, copy.id)).toEqual(before);
    await client.gql(operation(`mutation ($id: ID!) { deleteThread(id: $id) }`), { id });
    const after = await everything(client, copy.id);
    // The run is deleted with its thread. The copy keeps the states of the run.
    expect(after.history.nodes.every(({ run }) => run === null)).toBe(true);
    const withoutRuns = ({ history }: typeof after) =>
      history.nodes.map(({ run: _, ...state }) => state);
    expect(withoutRuns(after)).toEqual(withoutRuns(before));
    const { output } = await client.runToEnd({
      threadId: copy.id,
      assistantId: 'echo',
      input: human('there'),
    });
    expect(contentsOf(output)).toEqual(['shared', 'echo: shared', 'there', 'echo: there']);
  });
});

describe('copyThread up to a checkpoint', () => {
  const FIELDS =
    `status values interrupts { id } state { next } history(first: 100) { totalCount nodes {
    checkpointId parentCheckpointId values writes metadata
    tasks { name result state { checkpointId values } }
  } }` as const;

  const copyBranch = async (client: Client, id: string, checkpointId: string) =>
    (await client.gql(COPY_BRANCH, { id, checkpointId })).copyThread;

  /** The checkpoints of the thread, the oldest first. */
  async function checkpoints(client: Client, id: string) {
    const { history } = await selectThread(client, id, FIELDS);
    return history.nodes
      .map(({ metadata: { thread_id: _, ...metadata }, ...state }) => ({ ...state, metadata }))
      .toReversed();
  }

  it('has the branch of each checkpoint and no more, and goes on from there', async ({
    client,
  }) => {
    const id = await client.createThread({ metadata: { user: 'ada' } });
    for (const text of ['one', 'two'])
      await client.runToEnd({ threadId: id, assistantId: 'echo', input: human(text) });
    const all = await checkpoints(client, id);
    for (const [i, { checkpointId, values }] of all.entries()) {
      const copy = await copyBranch(client, id, checkpointId);
      expect(copy).toMatchObject({
        status: 'IDLE',
        values,
        graphId: 'echo',
        metadata: { user: 'ada', graph_id: 'echo' },
      });
      const copied = await checkpoints(client, copy.id);
      expect(copied.slice(0, -1)).toEqual(all.slice(0, i));
      // The tasks of the last checkpoint have not run.
      expect(copied.at(-1)).toMatchObject({ checkpointId, values, writes: all[i]?.writes });
      expect(copied.at(-1)?.tasks.every(({ result }) => result === null)).toBe(true);
    }
    const copy = await copyBranch(client, id, all[2]?.checkpointId ?? '');
    const { output } = await client.runToEnd({
      threadId: copy.id,
      assistantId: 'echo',
      input: human('three'),
    });
    expect(contentsOf(output)).toEqual(['one', 'echo: one', 'three', 'echo: three']);
    expect(await checkpoints(client, id)).toEqual(all);
  });

  it('leaves out other branches, and stores none of their content', async ({ client, server }) => {
    const id = await client.createThread();
    const run = (input: object) => client.runToEnd({ threadId: id, assistantId: 'echo', ...input });
    await run({ input: human('first') });
    const start = (await checkpoints(client, id)).at(-1)?.checkpointId ?? '';
    await run({ input: human('left out') });
    await run({ checkpointId: start, input: human('kept') });
    const { state } = await selectThread(client, id, 'state { checkpointId }');
    const copy = await copyBranch(client, id, state?.checkpointId ?? '');
    expect(contentsOf(copy.values)).toEqual(['first', 'echo: first', 'kept', 'echo: kept']);
    const stored = await server.app.sql.query<{ text: string }>(
      sql`SELECT convert_from("value", 'UTF8') AS "text" FROM "ChannelItem" WHERE "threadId" = ${copy.id}`,
    );
    expect(stored.length).toBeGreaterThan(0);
    expect(stored.filter(({ text }) => text.includes('left out'))).toEqual([]);
  });

  it('has the states of subgraphs in the steps before, and asks again what was asked after', async ({
    client,
  }) => {
    const id = await waitingThread(client, 'nestedAsk');
    const { id: interruptId } = await onlyInterrupt(client, id);
    const asked = (await checkpoints(client, id)).at(-1)?.checkpointId ?? '';
    await client.runToEnd({
      threadId: id,
      assistantId: 'nestedAsk',
      command: { resume: [{ interruptId, value: 'yes' }] },
    });
    const before = await copyBranch(client, id, asked);
    const shown = await selectThread(client, before.id, FIELDS);
    expect(shown).toMatchObject({ status: 'IDLE', interrupts: [] });
    expect(shown.history.nodes[0]?.tasks.map(({ state }) => state)).toEqual([null]);
    const again = await client.runToEnd({ threadId: before.id, assistantId: 'nestedAsk' });
    expect(again.status).toBe('INTERRUPTED');

    const all = await checkpoints(client, id);
    const end = await copyBranch(client, id, all.at(-1)?.checkpointId ?? '');
    expect(await checkpoints(client, end.id)).toEqual(all);
    expect(all.flatMap(({ tasks }) => tasks.flatMap(({ state }) => state ?? []))).not.toEqual([]);
  });

  it('refuses a checkpoint that the thread does not have', async ({ client }) => {
    const [id, other] = [await client.createThread(), await client.createThread()];
    for (const threadId of [id, other])
      await client.runToEnd({ threadId, assistantId: 'echo', input: human('x') });
    const foreign = (await checkpoints(client, other))[0]?.checkpointId ?? '';
    for (const checkpointId of [foreign, randomId(), 'x']) {
      const [error] = await client.errors(COPY_BRANCH, { id, checkpointId });
      expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'checkpointId' });
    }
    const [error] = await client.errors(COPY_BRANCH, { id: randomId(), checkpointId: foreign });
    expect(error?.extensions).toMatchObject({ code: 'NOT_FOUND' });
  });
});
