import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createTestApp, human, randomId, until, type TestApp } from './support/app.ts';
import { isWaitedFor } from './support/databases.ts';
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

const CANCEL = `mutation ($id: ID!, $action: CancelAction! = KEEP, $wait: Boolean! = false) {
  cancelRun(id: $id, action: $action, wait: $wait) { id status threadId }
}`;
const CANCEL_MANY = `mutation ($filter: RunFilter!, $action: CancelAction! = KEEP) {
  cancelRuns(filter: $filter, action: $action) { id status }
}`;

const cancel = async (id: string, options: Record<string, unknown> = {}) =>
  (await server.gql(CANCEL, { id, ...options })).cancelRun;

async function runAtGate(threadId?: string) {
  const gate = door.closedGate();
  const thread = threadId ?? (await door.createThread());
  const { id } = await door.start({
    threadId: thread,
    assistantId: 'gate',
    input: { log: ['in'], file: gate.file },
  });
  await until(async () => (await door.thread(thread)).state?.next.includes('hold'));
  return { gate, threadId: thread, id };
}

describe('cancelRun', () => {
  it('stops a running run; what it finished stays, and the thread can be used', async () => {
    const { threadId, id } = await runAtGate();
    expect(await cancel(id, { wait: true })).toEqual({ id, status: 'CANCELLED', threadId });
    expect((await server.follow(id)).at(-1)).toMatchObject({ status: 'CANCELLED', error: null });
    const { status, values, state } = await door.thread(threadId);
    expect({ status, log: values.log, next: state.next }).toEqual({
      status: 'IDLE',
      log: ['in', 'before'],
      next: ['hold'],
    });
    expect(await door.run(id)).toMatchObject({ output: { log: ['in', 'before'] } });
    const next = await door.runToEnd({ threadId, assistantId: 'echo', input: human('x') });
    expect(next.status).toBe('SUCCESS');
  });

  it('returns without wait when it is recorded, and the run ends', async () => {
    const { id } = await runAtGate();
    expect((await cancel(id)).id).toBe(id);
    expect(await door.ended(id)).toMatchObject({ status: 'CANCELLED' });
  });

  it('with ROLLBACK leaves no trace', async () => {
    const threadId = await door.createThread();
    await door.runToEnd({ threadId, assistantId: 'steps', input: {} });
    const before = await door.thread(threadId);
    const { id } = await runAtGate(threadId);
    expect(await cancel(id, { action: 'ROLLBACK', wait: true })).toEqual({
      id,
      status: 'CANCELLED',
      threadId,
    });
    expect(await door.thread(threadId)).toEqual(before);
    expect(await door.run(id)).toBeNull();
  });

  it('ends a run that waits at once, and leaves the others their turn', async () => {
    const { gate, threadId, id } = await runAtGate();
    const second = await door.start({ threadId, assistantId: 'echo', input: human('second') });
    const third = await door.start({ threadId, assistantId: 'echo', input: human('third') });
    expect(await cancel(second.id)).toMatchObject({ status: 'CANCELLED' });
    await gate.open();
    expect(await door.ended(id)).toMatchObject({ status: 'SUCCESS' });
    const { output } = await door.ended(third.id);
    expect(output.messages.map((message: any) => message.content)).toEqual([
      'third',
      'echo: third',
    ]);
  });

  it('ends a delayed run at once', async () => {
    const threadId = await door.createThread();
    const { id } = await door.start({
      threadId,
      assistantId: 'echo',
      input: human('x'),
      afterSeconds: 3600,
    });
    expect(await door.thread(threadId)).toMatchObject({ status: 'IDLE' });
    expect(await cancel(id, { wait: true })).toMatchObject({ status: 'CANCELLED' });
    expect(await door.thread(threadId)).toMatchObject({ status: 'IDLE', values: {} });
  });

  it('is a CONFLICT that tells the status where the run has ended', async () => {
    const { id } = await door.runToEnd({
      threadId: await door.createThread(),
      assistantId: 'echo',
      input: human('x'),
    });
    const [error] = await server.errors(CANCEL, { id });
    expect(error).toMatchObject({
      message: expect.stringContaining('SUCCESS'),
      extensions: { code: 'CONFLICT' },
    });
    const [again] = await server.errors(CANCEL, { id, action: 'ROLLBACK' });
    expect(again?.extensions).toEqual({ code: 'CONFLICT' });
  });

  it('is NOT_FOUND where there is no run', async () => {
    const [error] = await server.errors(CANCEL, { id: randomId() });
    expect(error?.extensions).toEqual({ code: 'NOT_FOUND' });
  });

  it('does not wait for a node that ignores its signal; what that does then changes nothing', async () => {
    const threadId = await door.createThread();
    const { id } = await door.start({
      threadId,
      assistantId: 'deaf',
      input: { log: ['in'], ms: 1500 },
    });
    await until(async () =>
      (
        await server.gql(`query ($id: ID!) { run(id: $id) { events { nodes { __typename } } } }`, {
          id,
        })
      ).run.events.nodes.some((event: any) => event.__typename === 'CustomEvent'),
    );
    expect(await cancel(id, { wait: true })).toMatchObject({ status: 'CANCELLED' });
    const next = await door.runToEnd({ threadId, assistantId: 'slow', input: { ms: 2000 } });
    expect(next.output.log).toEqual(['in', 'waited 2000']);
    expect(await door.run(id)).toMatchObject({ status: 'CANCELLED' });
  });

  it('leaves nothing of a stateless run', async () => {
    const gate = door.closedGate();
    const { id, threadId } = await door.start({
      assistantId: 'gate',
      input: { log: ['in'], file: gate.file },
    });
    await door.running(id);
    expect(await cancel(id, { wait: true })).toEqual({ id, status: 'CANCELLED', threadId: null });
    expect(await door.thread(threadId)).toBeNull();
  });

  it('wins over the end of the run that it came before', async () => {
    for (let n = 0; n < 10; n++) {
      const { id } = await door.start({
        threadId: await door.createThread(),
        assistantId: 'steps',
        input: {},
      });
      const { data, errors } = await server.request(CANCEL, { id, wait: true });
      const came = errors?.[0]?.extensions['code'] ?? data.cancelRun.status;
      expect(['CONFLICT', 'CANCELLED']).toContain(came);
      const { status } = await door.run(id);
      expect(status).toBe(came === 'CONFLICT' ? 'SUCCESS' : 'CANCELLED');
    }
  });
});

describe('cancelRuns', () => {
  // It takes two sessions.
  it.skipIf(inject('database') === 'embedded')(
    'leaves a run alone that no longer matches when its thread is free',
    async () => {
      await using front = await createTestApp({ workerConcurrency: 0 });
      await using own = await openRunDoor(front);
      const threadId = await own.createThread();
      const waiting = await own.start({ threadId, assistantId: 'echo', input: human('x') });
      const { cancelling } = await front.app.sql.transaction(async (query) => {
        await query(`SELECT FROM "Thread" WHERE "id" = $1 FOR NO KEY UPDATE`, [threadId]);
        const asked = front.gql(CANCEL_MANY, { filter: { threadId, status: ['PENDING'] } });
        await until(() => isWaitedFor(query));
        // As another server's claim.
        await query(
          `UPDATE "Run" SET "status" = 'RUNNING', "attempt" = 1, "claimToken" = gen_random_uuid(),
             "leaseExpiresAt" = now() + interval '1 hour', "startedAt" = now() WHERE "threadId" = $1`,
          [threadId],
        );
        return { cancelling: asked };
      });
      expect((await cancelling).cancelRuns).toEqual([]);
      const [run] = await front.app.sql.query(
        `SELECT "status", "cancelAction" FROM "Run" WHERE "id" = $1`,
        [waiting.id],
      );
      expect(run).toEqual({ status: 'RUNNING', cancelAction: null });
    },
  );

  it('stops every run that matches, running or waiting', async () => {
    const one = await runAtGate();
    const waiting = await door.start({
      threadId: one.threadId,
      assistantId: 'echo',
      input: human('x'),
    });
    const other = await runAtGate();
    const { cancelRuns } = await server.gql(CANCEL_MANY, { filter: { threadId: one.threadId } });
    expect(cancelRuns.map((run: any) => run.id)).toEqual([one.id, waiting.id]);
    expect(await door.ended(one.id)).toMatchObject({ status: 'CANCELLED' });
    expect(await door.ended(waiting.id)).toMatchObject({ status: 'CANCELLED' });
    expect(await door.run(other.id)).toMatchObject({ status: 'RUNNING' });

    const byIds = await server.gql(CANCEL_MANY, {
      filter: { ids: [one.id, other.id] },
      action: 'ROLLBACK',
    });
    expect(byIds.cancelRuns.map((run: any) => run.id)).toEqual([other.id]);
    expect((await server.follow(other.id)).at(-1)).toMatchObject({ status: 'CANCELLED' });
    expect(await door.run(other.id)).toBeNull();
  });

  it('refuses an empty filter, and stops nothing', async () => {
    for (const filter of [{}, { threadId: null }]) {
      const [error] = await server.errors(CANCEL_MANY, { filter });
      expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'filter' });
    }
  });
});
