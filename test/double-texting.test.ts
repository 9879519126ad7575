import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestApp, human, until, type TestApp } from './support/app.ts';
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

const contents = (values: any) => (values.messages ?? []).map((message: any) => message.content);

/** A thread with one exchange, and a run on it that has done its first step and waits in its second. */
async function busyThread() {
  const threadId = await door.createThread();
  await door.runToEnd({ threadId, assistantId: 'steps', input: { log: ['earlier'] } });
  const before = await door.thread(threadId);
  const gate = door.closedGate();
  const input = { log: ['in'], file: gate.file };
  const { id } = await door.start({ threadId, assistantId: 'gate', input });
  await until(async () => (await door.thread(threadId)).state.next.includes('hold'));
  return { threadId, before, gate, id };
}

const UNDO = `mutation ($id: ID!) { cancelRun(id: $id, action: ROLLBACK, wait: true) { id } }`;

const RUN_OR_TOMBSTONE = `SELECT "status"::text, "tombstone" FROM "Run" WHERE "id" = $1`;

describe('INTERRUPT', () => {
  it('stops the run that is running; what it has finished stays, and the new run goes on from there', async () => {
    const { threadId, id } = await busyThread();
    const next = await door.runToEnd({
      threadId,
      assistantId: 'steps',
      input: { log: ['new'] },
      multitaskStrategy: 'INTERRUPT',
    });
    expect(next.status).toBe('SUCCESS');
    expect(await door.run(id)).toMatchObject({ status: 'CANCELLED', error: null });
    const { log } = next.output;
    expect(log.slice(11, 14)).toEqual(['in', 'before', 'new']);
    expect(await door.thread(threadId)).toMatchObject({ status: 'IDLE' });
  });

  it('ends the runs that wait, too: each tells its subscribers', async () => {
    const { threadId, id } = await busyThread();
    const waiting = await door.start({ threadId, assistantId: 'echo', input: human('waits') });
    const followed = Promise.all([server.follow(id), server.follow(waiting.id)]);
    const next = await door.runToEnd({
      threadId,
      assistantId: 'steps',
      input: {},
      multitaskStrategy: 'INTERRUPT',
    });
    expect(next.status).toBe('SUCCESS');
    for (const events of await followed) {
      expect(events.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'CANCELLED' });
    }
    expect(await door.run(waiting.id)).toMatchObject({ status: 'CANCELLED', startedAt: null });
  });

  it('leaves a delayed run alone', async () => {
    const { threadId } = await busyThread();
    const delayed = await door.start({
      threadId,
      assistantId: 'echo',
      input: human('later'),
      afterSeconds: 3600,
    });
    await door.runToEnd({
      threadId,
      assistantId: 'steps',
      input: {},
      multitaskStrategy: 'INTERRUPT',
    });
    expect(await door.run(delayed.id)).toMatchObject({ status: 'PENDING' });
    expect(await door.thread(threadId)).toMatchObject({ status: 'IDLE' });
  });
});

describe('ROLLBACK', () => {
  it('undoes the run that is running: the thread is as if it had never been', async () => {
    const { threadId, before, id } = await busyThread();
    const next = await door.start({
      threadId,
      assistantId: 'steps',
      input: { log: ['new'] },
      multitaskStrategy: 'ROLLBACK',
    });
    const events = await server.follow(id);
    expect(events.at(-1)).toMatchObject({ status: 'CANCELLED' });
    const { output } = await door.ended(next.id);
    expect(output.log.slice(0, 12)).toEqual([...before.values.log, 'new']);

    expect(await door.run(id)).toBeNull();
    const { runs, history } = await door.thread(threadId);
    expect(runs.nodes.map((run: any) => run.id)).not.toContain(id);
    expect(history.nodes.map((state: any) => state.runId)).not.toContain(id);
    expect(await server.app.sql.query(RUN_OR_TOMBSTONE, [id])).toEqual([
      { status: 'CANCELLED', tombstone: true },
    ]);
  });

  it('leaves no row of the run, and no value that only it used', async () => {
    const { threadId, id } = await busyThread();
    const rows = async () => {
      const tables = [
        'Checkpoint',
        'CheckpointWrite',
        'ChannelValue',
        'ChannelItem',
        'CheckpointHead',
      ];
      const counts = tables.map(
        (table) => `(SELECT count(*)::int FROM "${table}" WHERE "threadId" = $1) AS "${table}"`,
      );
      return (await server.app.sql.query(`SELECT ${counts.join(', ')}`, [threadId]))[0];
    };
    const copy = (
      await server.gql(`mutation ($id: ID!) { copyThread(id: $id) { id } }`, { id: threadId })
    ).copyThread.id;
    expect((await door.thread(copy)).values.log).toContain('before');
    const [, earlier] = (await door.thread(threadId)).runs.nodes;
    expect(await rows()).toMatchObject({ Checkpoint: 15 });

    await server.gql(UNDO, { id });
    expect(await rows()).toMatchObject({ Checkpoint: 12, CheckpointHead: 1 });
    // What a thread has that never saw the other run.
    const twin = await door.createThread();
    await door.runToEnd({ threadId: twin, assistantId: 'steps', input: { log: ['earlier'] } });
    const [twinRows] = await server.app.sql.query(
      `SELECT (SELECT count(*)::int FROM "ChannelItem" WHERE "threadId" = $1) AS "ChannelItem",
         (SELECT count(*)::int FROM "ChannelValue" WHERE "threadId" = $1) AS "ChannelValue",
         (SELECT count(*)::int FROM "CheckpointWrite" WHERE "threadId" = $1) AS "CheckpointWrite"`,
      [twin],
    );
    expect(await rows()).toMatchObject(twinRows as object);
    expect(await door.run(earlier.id)).toMatchObject({ status: 'SUCCESS' });
  });

  it('leaves status and error as they were: a thread that had failed has failed', async () => {
    const threadId = await door.createThread();
    await door.runToEnd({ threadId, assistantId: 'fail', input: { fail: true } });
    const before = await door.thread(threadId);
    expect(before).toMatchObject({ status: 'ERROR', error: { message: 'Boo!' } });
    const { id } = await door.start({
      threadId,
      assistantId: 'gate',
      input: { file: door.closedGate().file },
    });
    await door.running(id);
    expect(await door.thread(threadId)).toMatchObject({ status: 'BUSY', error: null });
    await server.gql(UNDO, { id });
    expect(await door.thread(threadId)).toEqual(before);
  });

  it('opens the questions again that the run had answered, and takes back those that it asked', async () => {
    const threadId = await door.createThread();
    const gate = door.closedGate();
    const input = { hold: 'second', file: gate.file };
    await door.runToEnd({ threadId, assistantId: 'questions', input });
    const before = await door.thread(threadId);
    expect(before).toMatchObject({ status: 'INTERRUPTED', interrupts: [{ value: 'first' }] });

    const asks = await door.runToEnd({
      threadId,
      assistantId: 'questions',
      command: { resume: [{ value: 1 }] },
    });
    expect(asks).toMatchObject({ status: 'INTERRUPTED' });
    const between = await door.thread(threadId);
    expect(between.interrupts).toMatchObject([{ value: 'second' }]);

    const { id } = await door.start({
      threadId,
      assistantId: 'questions',
      command: { resume: [{ value: 2 }] },
    });
    await door.running(id);
    expect((await door.thread(threadId)).interrupts).toEqual([]);
    await server.gql(UNDO, { id });
    expect(await door.thread(threadId)).toEqual(between);

    const again = await door.start({
      threadId,
      assistantId: 'questions',
      command: { resume: [{ value: 3 }] },
    });
    await gate.open();
    expect(await door.ended(again.id)).toMatchObject({
      error: null,
      status: 'INTERRUPTED',
      output: { log: ['first: 1', 'second: 3'] },
      interrupts: [{ value: 'third' }],
    });
  });

  it('also undoes a run that waits; its subscribers are told', async () => {
    const { threadId, id } = await busyThread();
    const waiting = await door.start({ threadId, assistantId: 'echo', input: human('waits') });
    const next = await door.runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('new'),
      multitaskStrategy: 'ROLLBACK',
    });
    expect(contents(next.output)).toEqual(['new', 'echo: new']);
    expect([await door.run(id), await door.run(waiting.id)]).toEqual([null, null]);
    expect((await server.follow(waiting.id)).at(-1)).toMatchObject({ status: 'CANCELLED' });
  });
});

describe('50 runs that come at once on one thread', () => {
  it.each(['INTERRUPT', 'ROLLBACK'])(
    'have one outcome with %s: the last one accepted runs',
    async (strategy) => {
      const { threadId } = await busyThread();
      const accepted = await Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          door.start({
            threadId,
            assistantId: 'echo',
            input: human(`${n}`),
            multitaskStrategy: strategy,
          }),
        ),
      );
      await Promise.all(accepted.map(({ id }) => server.follow(id, { modes: [] })));
      const rows = await server.app.sql.query<{ id: string; status: string }>(
        `SELECT "id", "status"::text FROM "Run" WHERE "threadId" = $1 ORDER BY "seq"`,
        [threadId],
      );
      expect(rows.at(-1)).toMatchObject({ status: 'SUCCESS' });
      for (const { status } of rows.slice(2, -1))
        expect(['SUCCESS', 'CANCELLED']).toContain(status);
      const { values, status } = await door.thread(threadId);
      expect(status).toBe('IDLE');
      const last = accepted.findIndex(({ id }) => id === rows.at(-1)?.id);
      expect(contents(values).slice(-2)).toEqual([`${last}`, `echo: ${last}`]);
    },
  );
});
