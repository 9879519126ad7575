import { describe, expect } from 'vitest';
import { CREATE_RUN, createClient, type RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { findInterruptId, interruptsOf, resume, waitingThread } from './support/interrupts.ts';
import { createTwoServers, SEVERAL_STARTS_MS } from './support/servers.ts';

describe(
  'an answer that comes after the server was restarted',
  { timeout: SEVERAL_STARTS_MS },
  () => {
    it('may be any of the falsy ones, and goes to the question with the id from before', async ({
      database,
      startServer,
    }) => {
      const jobs = ['false', '0', '""', 'null', '[]', '{}'];
      const first = await startServer({}, database);
      const threadId = await waitingThread(first.client, 'sendAsk', { jobs });
      const asked = await interruptsOf<{ job: string }>(first.client, threadId);
      await first.server.stop();

      for (const { id: interruptId, value } of asked.toReversed()) {
        const { server, client } = await startServer({}, database);
        const pending = await interruptsOf(client, threadId);
        expect(pending).toEqual(asked.slice(0, pending.length));
        const answers = [{ interruptId, value: JSON.parse(value.job) }];
        const run = await client.runToEnd(resume(threadId, 'sendAsk', answers));
        expect(run.error).toBeNull();
        await server.stop();
      }
      const last = await startServer({}, database);
      expect(await last.client.getThread(threadId)).toMatchObject({
        status: 'IDLE',
        values: { log: ['plan', ...jobs.map((job) => `${job}: ${job}`), 'done'] },
        interrupts: [],
      });
    });

    it('reaches a graph within another', async ({ database, startServer }) => {
      let { server, client } = await startServer({}, database);
      const threadId = await client.createThread();
      let input: RunInput = { threadId, assistantId: 'rememberingPair', input: {} };
      for (const question of ['right 1', 'left 1', 'left 2', 'right 2']) {
        await client.runToEnd(input);
        await server.stop();
        ({ server, client } = await startServer({}, database));
        const interruptId = await findInterruptId(client, threadId, question);
        input = resume(threadId, 'rememberingPair', [{ interruptId, value: question }]);
      }
      await client.runToEnd(input);
      await server.stop();
      ({ client } = await startServer({}, database));
      expect(await client.getThread(threadId)).toMatchObject({
        status: 'IDLE',
        interrupts: [],
        values: {
          log: ['left 1', 'left 2', 'right 1', 'right 2']
            .map((question) => `${question}: "${question}"`)
            .concat('after'),
        },
      });
    });

    it('may be given to another server than the one that was asked', async () => {
      await using two = await createTwoServers();
      const [asking, answering] = two.servers.map((server) => createClient(server));
      if (!asking || !answering) expect.fail('Two servers run.');
      const threadId = await waitingThread(asking, 'panel');
      const asked = await interruptsOf(answering, threadId);
      const answers = asked.map(({ id, value }) => ({ interruptId: id, value }));
      // Both servers get the same answers. The first server to lock the thread accepts them.
      const input = resume(threadId, 'panel', answers);
      const results = await Promise.all(
        [asking, answering].map((client) => client.request(CREATE_RUN, { input, wait: true })),
      );
      const won = results.flatMap(({ data }) => data?.createRun ?? []);
      expect(won).toMatchObject([{ status: 'SUCCESS' }]);
      const [error] = results.flatMap(({ errors }) => errors ?? []);
      expect(['CONFLICT', 'THREAD_BUSY']).toContain(error?.extensions['code']);
      for (const client of [asking, answering]) {
        expect(await client.getThread(threadId)).toMatchObject({
          status: 'IDLE',
          values: { log: ['one: "one"', 'three: "three"', 'two: "two"', 'done'] },
          interrupts: [],
        });
      }
    });
  },
);
