import path from 'node:path';
import { MemorySaver } from '@langchain/langgraph';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { randomId } from './support/app.ts';
import { callsWithSaver, callsWithoutSaver } from './support/child-graphs.ts';
import type { Client, RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';

const IN_PROCESS = { callsWithSaver, callsWithoutSaver };

const graphsFile = path.join(import.meta.dirname, 'support/child-graphs.json');
it.override('settings', { graphsFile });

const RUN = operation(`mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) {
    status threadId error { message } interrupts { id value }
    thread { values } events(first: 100) { nodes { ... on CustomEvent { data } } }
  }
}`);

async function run(client: Client, assistantId: string, more: Partial<RunInput> = {}) {
  const input = {
    assistantId,
    threadId: randomId(),
    ifThreadMissing: 'CREATE' as const,
    input: {},
    ...more,
  };
  const { createRun } = await client.gql(RUN, { input });
  const { thread, threadId } = createRun;
  if (!thread || !threadId) expect.fail('The run has no thread.');
  return { ...createRun, threadId, thread: { values: valuesOf(thread.values) } };
}

describe('A node that calls a graph on a thread of its own', () => {
  it.for(['callsWithSaver', 'callsWithoutSaver'] as const)(
    'gets what that graph gives, as in process, whatever the thread_id is: %s',
    async (graph, { client }) => {
      const { threadId: real } = await run(client, 'callsWithoutSaver', { input: { threads: [] } });
      const threads = ['research-notes', 'a|b:c %', randomId(), real, 'research-notes'];
      const expected = await IN_PROCESS[graph].invoke(
        { threads },
        { configurable: { thread_id: 'outer', __pregel_checkpointer: new MemorySaver() } },
      );
      for (const durability of ['SYNC', 'ASYNC', 'EXIT'] as const) {
        const { status, error, thread } = await run(client, graph, {
          input: { threads },
          durability,
        });
        expect({ status, error, values: thread.values }).toEqual({
          status: 'SUCCESS',
          error: null,
          values: expected,
        });
      }
      const { thread } = await client.gql(
        operation(`query ($id: ID!) { thread(id: $id) { values history { totalCount } } }`),
        { id: real },
      );
      expect(thread).toEqual({
        values: { threads: [], n: 0, log: [] },
        history: { totalCount: 3 },
      });
    },
  );

  it('keeps the memory of that graph by thread_id, on the thread of the run', async ({
    client,
  }) => {
    const threadId = randomId();
    const logs: string[][] = [];
    for (const threads of [['a', 'b'], ['a'], ['b', 'c']]) {
      for (const id of threads) {
        const { thread } = await run(client, 'callsRemembering', {
          threadId,
          input: { threads: [id] },
        });
        logs.push(thread.values.log);
      }
    }
    expect(logs.at(-1)).toEqual(['a: 1', 'b: 1', 'a: 2', 'b: 2', 'c: 1']);
    const elsewhere = await run(client, 'callsRemembering', { input: { threads: ['a'] } });
    expect(elsewhere.thread.values.log).toEqual(['a: 1']);
  });

  it('goes on within that graph, once a question of it is answered', async ({ client }) => {
    for (const durability of ['SYNC', 'ASYNC', 'EXIT'] as const) {
      const options = { durability, streamModes: ['CUSTOM' as const], streamSubgraphs: true };
      const asked = await run(client, 'callsAsking', options);
      expect(asked).toMatchObject({ status: 'INTERRUPTED', interrupts: [{ value: 'Go on?' }] });
      expect(asked.events.nodes).toContainEqual({ data: 'first' });
      const { threadId } = asked;
      const command = { resume: [{ interruptId: asked.interrupts[0]?.id, value: 'yes' }] };
      const answered = await run(client, 'callsAsking', {
        ...options,
        threadId,
        command,
        input: null,
      });
      expect(answered).toMatchObject({
        status: 'SUCCESS',
        thread: { values: { log: ['first', 'answer: yes'] } },
      });
      expect(answered.events.nodes).not.toContainEqual({ data: 'first' });
    }
  });

  it('leaves nothing of that graph when the thread is deleted', async ({ client, server }) => {
    const { threadId } = await run(client, 'callsRemembering', { input: { threads: ['a'] } });
    const count = async () => {
      const [row] = await server.app.sql.query<{ count: number }>(
        sql`SELECT count(*)::int AS "count" FROM "Checkpoint" WHERE "threadId" = ${threadId} AND "namespace" <> ''`,
      );
      return row?.count;
    };
    expect(await count()).toBeGreaterThan(0);
    await client.gql(operation(`mutation ($id: ID!) { deleteThread(id: $id) }`), { id: threadId });
    expect(await count()).toBe(0);
  });
});
