import { describe, expect } from 'vitest';
import { join, raw, sql } from '../src/db/sql.ts';
import { human, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { contentsOf, operation } from './support/graphql.ts';

/** Makes a thread with an exchange, and a run on it. The run has done its first step and waits in its second. */
async function busyThread(client: Client) {
  const threadId = await client.createThread();
  await client.runToEnd({ threadId, assistantId: 'steps', input: { log: ['earlier'] } });
  const before = await client.getThread(threadId);
  const gate = createGate();
  const input = { log: ['in'], file: gate.file };
  const { id } = await client.startRun({ threadId, assistantId: 'gate', input });
  await until(async () => (await client.getThread(threadId)).state?.next.includes('hold'));
  return { threadId, before, gate, id };
}

const UNDO = operation(
  `mutation ($id: ID!) { cancelRun(id: $id, action: ROLLBACK, wait: true) { id } }`,
);

describe('INTERRUPT', () => {
  it('stops the run that is running; what it has finished stays, and the new run goes on from there', async ({
    client,
  }) => {
    const { threadId, id } = await busyThread(client);
    const next = await client.runToEnd({
      threadId,
      assistantId: 'steps',
      input: { log: ['new'] },
      multitaskStrategy: 'INTERRUPT',
    });
    expect(next.status).toBe('SUCCESS');
    expect(await client.getRun(id)).toMatchObject({ status: 'CANCELLED', error: null });
    const { log } = next.output;
    expect(log.slice(11, 14)).toEqual(['in', 'before', 'new']);
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE' });
  });

  it('ends the runs that wait, too: each tells its subscribers', async ({ client }) => {
    const { threadId, id } = await busyThread(client);
    const waiting = await client.startRun({ threadId, assistantId: 'echo', input: human('waits') });
    const followed = Promise.all([client.follow(id), client.follow(waiting.id)]);
    const next = await client.runToEnd({
      threadId,
      assistantId: 'steps',
      input: {},
      multitaskStrategy: 'INTERRUPT',
    });
    expect(next.status).toBe('SUCCESS');
    for (const events of await followed) {
      expect(events.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'CANCELLED' });
    }
    expect(await client.getRun(waiting.id)).toMatchObject({ status: 'CANCELLED', startedAt: null });
  });

  it('leaves a delayed run alone', async ({ client }) => {
    const { threadId } = await busyThread(client);
    const delayed = await client.startRun({
      threadId,
      assistantId: 'echo',
      input: human('later'),
      afterSeconds: 3600,
    });
    await client.runToEnd({
      threadId,
      assistantId: 'steps',
      input: {},
      multitaskStrategy: 'INTERRUPT',
    });
    expect(await client.getRun(delayed.id)).toMatchObject({ status: 'PENDING' });
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE' });
  });
});

describe('ROLLBACK', () => {
  it('undoes the run that is running: the thread is as if it had never been', async ({
    client,
    server,
  }) => {
    const { threadId, before, id } = await busyThread(client);
    const next = await client.startRun({
      threadId,
      assistantId: 'steps',
      input: { log: ['new'] },
      multitaskStrategy: 'ROLLBACK',
    });
    const events = await client.follow(id);
    expect(events.at(-1)).toMatchObject({ status: 'CANCELLED' });
    const { output } = await client.untilEnded(next.id);
    expect(output.log.slice(0, 12)).toEqual([...before.values.log, 'new']);

    expect(await client.findRun(id)).toBeNull();
    const { runs, history } = await client.getThread(threadId);
    expect(runs.nodes.map((run) => run.id)).not.toContain(id);
    expect(history.nodes.map((state) => state.runId)).not.toContain(id);
    const rows = await server.app.sql.query(
      sql`SELECT "status"::text, "tombstone" FROM "Run" WHERE "id" = ${id}`,
    );
    expect(rows).toEqual([{ status: 'CANCELLED', tombstone: true }]);
  });

  it('leaves no row of the run, and no value that only it used', async ({ client, server }) => {
    const { threadId, id } = await busyThread(client);
    const rows = async () => {
      const tables = [
        'Checkpoint',
        'CheckpointWrite',
        'ChannelValue',
        'ChannelItem',
        'CheckpointHead',
      ];
      const counts = tables.map(
        (table) =>
          sql`(SELECT count(*)::int FROM ${raw(`"${table}"`)} WHERE "threadId" = ${threadId}) AS ${raw(`"${table}"`)}`,
      );
      return (await server.app.sql.query(sql`SELECT ${join(counts)}`))[0];
    };
    const copy = (
      await client.gql(operation(`mutation ($id: ID!) { copyThread(id: $id) { id } }`), {
        id: threadId,
      })
    ).copyThread.id;
    expect((await client.getThread(copy)).values.log).toContain('before');
    const [, earlier] = (await client.getThread(threadId)).runs.nodes;
    expect(await rows()).toMatchObject({ Checkpoint: 15 });

    await client.gql(UNDO, { id });
    expect(await rows()).toMatchObject({ Checkpoint: 12, CheckpointHead: 1 });
    // The rows of a thread without the second run.
    const twin = await client.createThread();
    await client.runToEnd({ threadId: twin, assistantId: 'steps', input: { log: ['earlier'] } });
    const [twinRows] = await server.app.sql.query(
      sql`SELECT (SELECT count(*)::int FROM "ChannelItem" WHERE "threadId" = ${twin}) AS "ChannelItem",
         (SELECT count(*)::int FROM "ChannelValue" WHERE "threadId" = ${twin}) AS "ChannelValue",
         (SELECT count(*)::int FROM "CheckpointWrite" WHERE "threadId" = ${twin}) AS "CheckpointWrite"`,
    );
    expect(await rows()).toMatchObject(twinRows as object);
    expect(await client.getRun(earlier?.id ?? '')).toMatchObject({ status: 'SUCCESS' });
  });

  it('leaves status and error as they were: a thread that had failed has failed', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'fail', input: { fail: true } });
    const before = await client.getThread(threadId);
    expect(before).toMatchObject({ status: 'ERROR', error: { message: 'Boo!' } });
    const { id } = await client.startRun({
      threadId,
      assistantId: 'gate',
      input: { file: createGate().file },
    });
    await client.untilRunning(id);
    expect(await client.getThread(threadId)).toMatchObject({ status: 'BUSY', error: null });
    await client.gql(UNDO, { id });
    expect(await client.getThread(threadId)).toEqual(before);
  });

  it('opens the questions again that the run had answered, and takes back those that it asked', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const gate = createGate();
    const input = { hold: 'second', file: gate.file };
    await client.runToEnd({ threadId, assistantId: 'questions', input });
    const before = await client.getThread(threadId);
    expect(before).toMatchObject({ status: 'INTERRUPTED', interrupts: [{ value: 'first' }] });

    const asks = await client.runToEnd({
      threadId,
      assistantId: 'questions',
      command: { resume: [{ value: 1 }] },
    });
    expect(asks).toMatchObject({ status: 'INTERRUPTED' });
    const between = await client.getThread(threadId);
    expect(between.interrupts).toMatchObject([{ value: 'second' }]);

    const { id } = await client.startRun({
      threadId,
      assistantId: 'questions',
      command: { resume: [{ value: 2 }] },
    });
    await client.untilRunning(id);
    expect((await client.getThread(threadId)).interrupts).toEqual([]);
    await client.gql(UNDO, { id });
    expect(await client.getThread(threadId)).toEqual(between);

    const again = await client.startRun({
      threadId,
      assistantId: 'questions',
      command: { resume: [{ value: 3 }] },
    });
    await gate.open();
    expect(await client.untilEnded(again.id)).toMatchObject({
      error: null,
      status: 'INTERRUPTED',
      output: { log: ['first: 1', 'second: 3'] },
      interrupts: [{ value: 'third' }],
    });
  });

  it('also undoes a run that waits; its subscribers are told', async ({ client }) => {
    const { threadId, id } = await busyThread(client);
    const waiting = await client.startRun({ threadId, assistantId: 'echo', input: human('waits') });
    const next = await client.runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('new'),
      multitaskStrategy: 'ROLLBACK',
    });
    expect(contentsOf(next.output)).toEqual(['new', 'echo: new']);
    expect([await client.findRun(id), await client.findRun(waiting.id)]).toEqual([null, null]);
    expect((await client.follow(waiting.id)).at(-1)).toMatchObject({ status: 'CANCELLED' });
  });
});

describe('50 runs that come at once on one thread', () => {
  it.for(['INTERRUPT', 'ROLLBACK'] as const)(
    'have one outcome with %s: the last one accepted runs',
    async (strategy, { client, server }) => {
      const { threadId } = await busyThread(client);
      const accepted = await Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          client.startRun({
            threadId,
            assistantId: 'echo',
            input: human(`${n}`),
            multitaskStrategy: strategy,
          }),
        ),
      );
      await Promise.all(accepted.map(({ id }) => client.follow(id, { modes: [] })));
      const rows = await server.app.sql.query<{ id: string; status: string }>(
        sql`SELECT "id", "status"::text FROM "Run" WHERE "threadId" = ${threadId} ORDER BY "seq"`,
      );
      expect(rows.at(-1)).toMatchObject({ status: 'SUCCESS' });
      for (const { status } of rows.slice(2, -1))
        expect(['SUCCESS', 'CANCELLED']).toContain(status);
      const { values, status } = await client.getThread(threadId);
      expect(status).toBe('IDLE');
      const last = accepted.findIndex(({ id }) => id === rows.at(-1)?.id);
      expect(contentsOf(values).slice(-2)).toEqual([`${last}`, `echo: ${last}`]);
    },
  );
});
