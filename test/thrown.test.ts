import path from 'node:path';
import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { randomId, type TestApp } from './support/app.ts';
import type { Client } from './support/client.ts';
import { createTestDatabase } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf, type AnswerTo } from './support/graphql.ts';
import { THROWN } from './support/hostile-graphs.ts';
import { startServerProcess } from './support/processes.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

const GRAPHS_FILE = path.join(import.meta.dirname, 'support/hostile-graphs.json');
it.override('settings', { graphsFile: GRAPHS_FILE });

const RUN = operation(`mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) {
    id threadId status attempt error { name message }
    thread { status error { name message } history { nodes { tasks { error } } } }
  }
}`);
const LISTS = operation(`query ($runs: [ID!]!, $threads: [ID!]!) {
  runs(filter: { ids: $runs }) { nodes { error { name message } } }
  threads(filter: { ids: $threads }) { nodes { error { name message } } }
}`);

type Run = AnswerTo<typeof RUN>['createRun'];

async function run(client: Pick<TestApp, 'gql'>, input: Record<string, unknown>): Promise<Run> {
  const threadId = randomId();
  const request = { assistantId: 'throwing', threadId, ifThreadMissing: 'CREATE', input } as const;
  return (await client.gql(RUN, { input: request })).createRun;
}

/** A run for each hostile value. */
async function throwAll(client: Pick<TestApp, 'gql'>, more: Record<string, unknown> = {}) {
  const kinds = Object.keys(THROWN);
  return Promise.all(
    kinds.map(async (what) => ({ what, ...(await run(client, { what, ...more })) })),
  );
}

/** Whether a client can read the text: no half characters, null bytes or lines of a stack. */
function isText(text: unknown): boolean {
  return typeof text === 'string' && !/[\0\p{Surrogate}]|\n\s+at /u.test(text);
}

const EXPECTED = Object.keys(THROWN).map((what) => ({
  what,
  status: 'ERROR',
  attempt: 1,
  name: true,
  message: true,
}));

const shown = ({ what, status, attempt, error }: Run & { what: string }) => ({
  what,
  status,
  attempt,
  name: isText(error?.name) && error?.name !== '' && error?.name !== 'AbortError',
  message: isText(error?.message),
});

describe('A run whose node throws', { timeout: SEVERAL_STARTS_MS }, () => {
  it('ends in ERROR at its first attempt and tells it as text, whatever was thrown', async ({
    client,
  }) => {
    const runs = await throwAll(client);
    expect(runs.map(shown)).toEqual(EXPECTED);
    for (const { error, thread } of runs) {
      expect(thread).toMatchObject({ status: 'ERROR', error });
      const tasks = thread?.history.nodes.flatMap((node) => node.tasks) ?? [];
      for (const task of tasks) expect(task.error === null || isText(task.error)).toBe(true);
    }
    const errorOf = (what: string) => runs.find((each) => each.what === what)?.error;
    expect(errorOf('an undefined name')).toEqual({ name: 'Error', message: 'quota' });
    expect(errorOf('causes in a circle')).toEqual({ name: 'Error', message: 'first' });
    expect(errorOf('an object as message')).toEqual({ name: 'Error', message: '{ code: 429 }' });
    expect(errorOf('a long message')?.message).toBe(`${'💥'.repeat(999)}…`);
  });

  it('ends the same way where nobody awaits what is thrown, and the log has a line for it', async () => {
    const database = await createTestDatabase();
    await using server = await startServerProcess(database, { THREADQL_CONFIG: GRAPHS_FILE });
    const runs = await throwAll(server.client, { stray: true });
    expect(runs.map(shown)).toEqual(EXPECTED);
    const lines = server.output().match(/.*a run left an uncaught error.*/g) ?? [];
    expect(lines).toHaveLength(EXPECTED.length);
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty('run');
    expect(server.child.exitCode).toBeNull();
    await server[Symbol.asyncDispose]();
    await database.dispose();
  });

  it('is in every list, also where a row of an earlier version holds a name that is no text', async ({
    server,
    client,
  }) => {
    const { id, threadId } = await run(client, { what: 'a frozen error' });
    const stored = [
      { name: null, message: 'kept' },
      { name: { code: 429 }, message: { why: 'quota' } },
      { name: 'Half\uD83D', message: 'a\0b' },
      { message: null },
    ];
    for (const error of stored) {
      const json = JSON.stringify(error);
      await server.app.sql.query(
        sql`WITH run AS (UPDATE "Run" SET "error" = ${json}::json WHERE "id" = ${id})
         UPDATE "Thread" SET "error" = ${json}::json WHERE "id" = ${threadId}`,
      );
      const { runs, threads } = await client.gql(LISTS, { runs: [id], threads: [threadId ?? ''] });
      const nodes = [...runs.nodes, ...threads.nodes];
      expect(nodes).toHaveLength(2);
      for (const node of nodes) {
        expect(isText(node.error?.name) && isText(node.error?.message)).toBe(true);
      }
    }
  });
});

describe('A graph whose text PostgreSQL does not take', () => {
  const RUN_TEXTS = operation(`mutation ($input: CreateRunInput!) {
    createRun(input: $input, wait: true) {
      status attempt error { message } interrupts { value }
      thread { values history { nodes { values } } }
      events(first: 100) { nodes { ... on CustomEvent { data } ... on UpdatesEvent { update } } }
    }
  }`);
  type Input = VariablesOf<typeof RUN_TEXTS>['input'];
  type Durability = NonNullable<Input['durability']>;
  const DURABILITIES: Durability[] = ['SYNC', 'ASYNC', 'EXIT'];
  const odd = 'null \0 high \uD83D low \uDE00';

  const runTexts = async (client: Client, input: Input) =>
    (
      await client.gql(RUN_TEXTS, {
        input: { ...input, threadId: randomId(), ifThreadMissing: 'CREATE' },
      })
    ).createRun;

  it('says it in its values, events and questions', async ({ client }) => {
    const say = async (where: string, durability: Durability) => {
      const run = await runTexts(client, { assistantId: 'texts', input: { where }, durability });
      return { ...run, values: valuesOf(run.thread?.values) };
    };
    for (const durability of DURABILITIES) {
      const message = await say('message', durability);
      expect(message.values.messages[0]).toMatchObject({ content: odd, name: odd });
      expect((await say('id', durability)).values.messages[0]?.id).toBe(odd);
      expect((await say('list', durability)).values['list']).toEqual([odd, { odd }]);
      expect((await say('key', durability)).values['said']).toEqual({ [odd]: 1 });
      const custom = await say('custom', durability);
      expect(valuesOf(custom.thread?.history.nodes[0]?.values)['said']).toBe(odd);
      expect(custom.events.nodes).toContainEqual({ data: { odd } });
      expect((await say('question', durability)).interrupts).toEqual([{ value: { odd } }]);
    }
  });

  it.for(['oddNode', 'oddChannel'])(
    'ends at its first attempt with a sentence where a name is such text: %s',
    async (assistantId, { client }) => {
      for (const durability of DURABILITIES) {
        const run = await runTexts(client, { assistantId, input: { where: 'x' }, durability });
        expect(run).toMatchObject({
          status: 'ERROR',
          attempt: 1,
          error: { message: expect.stringContaining('which cannot be stored') },
        });
      }
    },
  );
});
