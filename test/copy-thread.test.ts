import { describe, expect } from 'vitest';
import { human, until } from './support/app.ts';
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
