import type { VariablesOf } from 'gql.tada';
import { describe, expect, inject } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, randomId, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { isWaitedFor } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';

const CANCEL =
  operation(`mutation ($id: ID!, $action: CancelAction! = KEEP, $wait: Boolean! = false) {
  cancelRun(id: $id, action: $action, wait: $wait) { id status threadId }
}`);
const CANCEL_MANY = operation(`mutation ($filter: RunFilter!, $action: CancelAction! = KEEP) {
  cancelRuns(filter: $filter, action: $action) { id status }
}`);

type CancelOptions = Omit<VariablesOf<typeof CANCEL>, 'id'>;

const cancel = async (client: Client, id: string, options: CancelOptions = {}) =>
  (await client.gql(CANCEL, { id, ...options })).cancelRun;

async function runAtGate(client: Client, threadId?: string) {
  const gate = createGate();
  const thread = threadId ?? (await client.createThread());
  const { id } = await client.startRun({
    threadId: thread,
    assistantId: 'gate',
    input: { log: ['in'], file: gate.file },
  });
  await until(async () => (await client.getThread(thread)).state?.next.includes('hold'));
  return { gate, threadId: thread, id };
}

describe('cancelRun', () => {
  it('stops a running run; what it finished stays, and the thread can be used', async ({
    client,
  }) => {
    const { threadId, id } = await runAtGate(client);
    expect(await cancel(client, id, { wait: true })).toEqual({ id, status: 'CANCELLED', threadId });
    expect((await client.follow(id)).at(-1)).toMatchObject({ status: 'CANCELLED', error: null });
    const { status, values, state } = await client.getThread(threadId);
    expect({ status, log: values.log, next: state?.next }).toEqual({
      status: 'IDLE',
      log: ['in', 'before'],
      next: ['hold'],
    });
    expect(await client.getRun(id)).toMatchObject({ output: { log: ['in', 'before'] } });
    const next = await client.runToEnd({ threadId, assistantId: 'echo', input: human('x') });
    expect(next.status).toBe('SUCCESS');
  });

  it('returns without wait when it is recorded, and the run ends', async ({ client }) => {
    const { id } = await runAtGate(client);
    expect((await cancel(client, id)).id).toBe(id);
    expect(await client.untilEnded(id)).toMatchObject({ status: 'CANCELLED' });
  });

  it('with ROLLBACK leaves no trace', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'steps', input: {} });
    const before = await client.getThread(threadId);
    const { id } = await runAtGate(client, threadId);
    expect(await cancel(client, id, { action: 'ROLLBACK', wait: true })).toEqual({
      id,
      status: 'CANCELLED',
      threadId,
    });
    expect(await client.getThread(threadId)).toEqual(before);
    expect(await client.findRun(id)).toBeNull();
  });

  it('ends a run that waits at once, and leaves the others their turn', async ({ client }) => {
    const { gate, threadId, id } = await runAtGate(client);
    const second = await client.startRun({ threadId, assistantId: 'echo', input: human('second') });
    const third = await client.startRun({ threadId, assistantId: 'echo', input: human('third') });
    expect(await cancel(client, second.id)).toMatchObject({ status: 'CANCELLED' });
    await gate.open();
    expect(await client.untilEnded(id)).toMatchObject({ status: 'SUCCESS' });
    const { output } = await client.untilEnded(third.id);
    expect(output.messages.map((message) => message.content)).toEqual(['third', 'echo: third']);
  });

  it('ends a delayed run at once', async ({ client }) => {
    const threadId = await client.createThread();
    const { id } = await client.startRun({
      threadId,
      assistantId: 'echo',
      input: human('x'),
      afterSeconds: 3600,
    });
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE' });
    expect(await cancel(client, id, { wait: true })).toMatchObject({ status: 'CANCELLED' });
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE', values: {} });
  });

  it('is a CONFLICT that tells the status where the run has ended', async ({ client }) => {
    const { id } = await client.runToEnd({
      threadId: await client.createThread(),
      assistantId: 'echo',
      input: human('x'),
    });
    const [error] = await client.errors(CANCEL, { id });
    expect(error).toMatchObject({
      message: expect.stringContaining('SUCCESS'),
      extensions: { code: 'CONFLICT' },
    });
    const [again] = await client.errors(CANCEL, { id, action: 'ROLLBACK' });
    expect(again?.extensions).toEqual({ code: 'CONFLICT' });
  });

  it('is NOT_FOUND where there is no run', async ({ client }) => {
    const [error] = await client.errors(CANCEL, { id: randomId() });
    expect(error?.extensions).toEqual({ code: 'NOT_FOUND' });
  });

  it('does not wait for a node that ignores its signal; what that does then changes nothing', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const { id } = await client.startRun({
      threadId,
      assistantId: 'deaf',
      input: { log: ['in'], ms: 1500 },
    });
    await until(async () =>
      (
        await client.gql(
          operation(`query ($id: ID!) { run(id: $id) { events { nodes { __typename } } } }`),
          {
            id,
          },
        )
      ).run?.events.nodes.some((event) => event.__typename === 'CustomEvent'),
    );
    expect(await cancel(client, id, { wait: true })).toMatchObject({ status: 'CANCELLED' });
    const next = await client.runToEnd({ threadId, assistantId: 'slow', input: { ms: 2000 } });
    expect(next.output.log).toEqual(['in', 'waited 2000']);
    expect(await client.getRun(id)).toMatchObject({ status: 'CANCELLED' });
  });

  it('leaves nothing of a stateless run', async ({ client }) => {
    const gate = createGate();
    const { id, threadId } = await client.startRun({
      assistantId: 'gate',
      input: { log: ['in'], file: gate.file },
    });
    await client.untilRunning(id);
    expect(await cancel(client, id, { wait: true })).toEqual({
      id,
      status: 'CANCELLED',
      threadId: null,
    });
    expect(await client.findThread(threadId ?? '')).toBeNull();
  });

  it('wins over the end of the run that it came before', async ({ client }) => {
    for (let n = 0; n < 10; n++) {
      const { id } = await client.startRun({
        threadId: await client.createThread(),
        assistantId: 'steps',
        input: {},
      });
      const { data, errors } = await client.request(CANCEL, { id, wait: true });
      const came = errors?.[0]?.extensions['code'] ?? data.cancelRun?.status;
      expect(['CONFLICT', 'CANCELLED']).toContain(came);
      const { status } = await client.getRun(id);
      expect(status).toBe(came === 'CONFLICT' ? 'SUCCESS' : 'CANCELLED');
    }
  });
});

describe('cancelRuns', () => {
  // This test takes two database sessions.
  it.skipIf(inject('database') === 'embedded')(
    'leaves a run alone that no longer matches when its thread is free',
    async ({ startServer }) => {
      const { server: front, client: own } = await startServer({ workerConcurrency: 0 });
      const threadId = await own.createThread();
      const waiting = await own.startRun({ threadId, assistantId: 'echo', input: human('x') });
      const { cancelling } = await front.app.sql.transaction(async (query) => {
        await query(sql`SELECT FROM "Thread" WHERE "id" = ${threadId} FOR NO KEY UPDATE`);
        const asked = front.gql(CANCEL_MANY, { filter: { threadId, status: ['PENDING'] } });
        await until(() => isWaitedFor(query));
        // The same statement as the claim of another server.
        await query(
          sql`UPDATE "Run" SET "status" = 'RUNNING', "attempt" = 1, "claimToken" = gen_random_uuid(),
             "leaseExpiresAt" = now() + interval '1 hour', "startedAt" = now() WHERE "threadId" = ${threadId}`,
        );
        return { cancelling: asked };
      });
      expect((await cancelling).cancelRuns).toEqual([]);
      const [run] = await front.app.sql.query(
        sql`SELECT "status", "cancelAction" FROM "Run" WHERE "id" = ${waiting.id}`,
      );
      expect(run).toEqual({ status: 'RUNNING', cancelAction: null });
    },
  );

  it('stops every run that matches, running or waiting', async ({ client }) => {
    const one = await runAtGate(client);
    const waiting = await client.startRun({
      threadId: one.threadId,
      assistantId: 'echo',
      input: human('x'),
    });
    const other = await runAtGate(client);
    const { cancelRuns } = await client.gql(CANCEL_MANY, { filter: { threadId: one.threadId } });
    expect(cancelRuns.map((run) => run.id)).toEqual([one.id, waiting.id]);
    expect(await client.untilEnded(one.id)).toMatchObject({ status: 'CANCELLED' });
    expect(await client.untilEnded(waiting.id)).toMatchObject({ status: 'CANCELLED' });
    expect(await client.getRun(other.id)).toMatchObject({ status: 'RUNNING' });

    const byIds = await client.gql(CANCEL_MANY, {
      filter: { ids: [one.id, other.id] },
      action: 'ROLLBACK',
    });
    expect(byIds.cancelRuns.map((run) => run.id)).toEqual([other.id]);
    expect((await client.follow(other.id)).at(-1)).toMatchObject({ status: 'CANCELLED' });
    expect(await client.findRun(other.id)).toBeNull();
  });

  it(
    'stops all that match, in slices, also more than it returns',
    { timeout: 120_000 },
    async ({ startServer }) => {
      const { server: front } = await startServer({ workerConcurrency: 0 });
      const { query } = front.app.sql;
      await query(
        sql`INSERT INTO "Thread" ("id") SELECT gen_random_uuid() FROM generate_series(1, 10)`,
      );
      await query(
        sql`INSERT INTO "Run" ("id", "threadId", "assistantId", "graphId", "metadata")
      SELECT gen_random_uuid(), t."id", gen_random_uuid(), 'echo', '{"batch": 1}' FROM "Thread" t, generate_series(1, 25)`,
      );
      const cancelled = await front.gql(CANCEL_MANY, { filter: { metadata: { batch: 1 } } });
      expect(cancelled.cancelRuns).toHaveLength(100);
      const statuses = await query(
        sql`SELECT "status", count(*)::int AS "count", count(DISTINCT "xmin"::text)::int AS "transactions" FROM "Run" GROUP BY 1`,
      );
      expect(statuses).toEqual([{ status: 'CANCELLED', count: 250, transactions: 3 }]);
      const [events] = await query(
        sql`SELECT count(*)::int AS "count" FROM "RunEvent" WHERE "type" = 'FINISHED'`,
      );
      expect(events).toEqual({ count: 250 });
    },
  );

  it('refuses an empty filter, and stops nothing', async ({ client }) => {
    for (const filter of [{}, { threadId: null }, { metadata: {} }]) {
      const [error] = await client.errors(CANCEL_MANY, { filter });
      expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'filter' });
    }
  });
});
