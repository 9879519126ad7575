import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human } from './support/app.ts';
import type { Client } from './support/client.ts';
import { createClient } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { createTwoServers, SEVERAL_STARTS_MS } from './support/servers.ts';

// Runs, questions and checkpoints of all tenants have one sequence of numbers. It is the order of their lists.

const RUNS = operation(`
  query Runs($first: Int, $after: String, $last: Int, $before: String) {
    runs(first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { id } }
      pageInfo { startCursor endCursor hasNextPage }
    }
  }
`);
const QUESTIONS = operation(`
  query Questions($first: Int, $after: String) {
    pendingInterrupts(first: $first, after: $after) { edges { cursor node { id } } }
  }
`);
const HISTORY = operation(`
  query History($id: ID!, $first: Int, $after: String) {
    thread(id: $id) { history(first: $first, after: $after) { edges { cursor node { checkpointId } } } }
  }
`);

const bytesOf = (cursor: string) => Buffer.from(cursor, 'base64url');

/** The bits in which two texts differ, as a part of all. */
function difference(one: Buffer, other: Buffer): number {
  const bits = [...one].map((byte, i) => (byte ^ (other[i] ?? 0)).toString(2).replaceAll('0', ''));
  return bits.join('').length / (8 * one.length);
}

const runsOf = async (client: Client, page: VariablesOf<typeof RUNS>) =>
  (await client.gql(RUNS, page)).runs;

/** The cursors of three lists whose order is a number that all tenants share, newest first. */
async function cursorsOf(client: Client, threadId: string): Promise<string[][]> {
  const runs = await runsOf(client, { first: 100 });
  const { pendingInterrupts } = await client.gql(QUESTIONS, { first: 100 });
  const { thread } = await client.gql(HISTORY, { id: threadId, first: 100 });
  return [runs.edges, pendingInterrupts.edges.toReversed(), thread?.history.edges ?? []].map(
    (edges) => edges.map(({ cursor }) => cursor),
  );
}

/** Starts three runs directly after each other; each asks a question. Returns the thread of the last one. */
async function ask(client: Client): Promise<string> {
  let threadId = '';
  for (let i = 0; i < 3; i++) {
    threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'approval', input: human('may I?') });
  }
  return threadId;
}

describe('the cursors of neighbours in a list', () => {
  it('show neither their distance nor their order', async ({ client, server }) => {
    const threadId = await ask(client);
    const numbers = await server.app.sql.query<{ seq: number }>(sql`SELECT "seq" FROM "Run"`);
    for (const cursors of await cursorsOf(client, threadId)) {
      expect(cursors.length).toBeGreaterThan(1);
      const [first, ...others] = cursors.map(bytesOf);
      for (const other of others) {
        // As much as random bytes: the chance of less is below one in a million.
        expect(difference(first as Buffer, other)).toBeGreaterThan(0.3);
        expect(difference(first as Buffer, other)).toBeLessThan(0.7);
      }
      for (const cursor of cursors) {
        expect(cursor).toHaveLength(cursors[0]?.length ?? 0);
        for (const { seq } of numbers) {
          expect(bytesOf(cursor).toString('latin1')).not.toContain(`"${seq}"`);
        }
      }
    }
  });

  it('have one length, with few digits and with many', async ({ client, server }) => {
    await client.runToEnd({ assistantId: 'echo', input: human('hi') });
    const few = (await runsOf(client, { first: 1 })).edges[0]?.cursor;
    await server.app.sql.query(sql`SELECT setval('"Run_seq_seq"', 9007199254740000)`);
    await client.runToEnd({ assistantId: 'echo', input: human('hi') });
    const many = (await runsOf(client, { first: 1 })).edges[0]?.cursor;
    expect(many).not.toBe(few);
    expect(many).toHaveLength(few?.length ?? 0);
  });
});

describe('a cursor', () => {
  it('is the same each time', async ({ client }) => {
    const threadId = await ask(client);
    expect(await cursorsOf(client, threadId)).toEqual(await cursorsOf(client, threadId));
  });

  it('is refused with one damaged character, and as earlier versions wrote it', async ({
    client,
    server,
  }) => {
    await ask(client);
    const { edges } = await runsOf(client, { first: 2 });
    const cursor = edges[0]?.cursor ?? expect.fail('no run');
    const damaged = Array.from(
      cursor,
      (char, i) => cursor.slice(0, i) + (char === 'A' ? 'B' : 'A') + cursor.slice(i + 1),
    );
    const [last] = await server.app.sql.query<{ seq: number }>(
      sql`SELECT max("seq") AS "seq" FROM "Run"`,
    );
    const number = String(last?.seq);
    const earlier = Buffer.from(JSON.stringify(['"Run" "seq"', number, number]));
    const cut = [cursor.slice(0, -1), cursor.slice(1), cursor.slice(0, 22), `${cursor}A`, ''];
    for (const text of [...damaged, ...cut, `${cursor}=`, earlier.toString('base64url')]) {
      for (const page of [{ after: text }, { last: 1, before: text }]) {
        const argument = 'before' in page ? 'before' : 'after';
        const [error] = await client.errors(RUNS, page);
        expect(error, text).toMatchObject({
          message: `${argument} is not a cursor of this list; take one from its edges or pageInfo.`,
          extensions: { code: 'BAD_USER_INPUT', argument },
        });
      }
    }
    expect(await runsOf(client, { first: 1, after: cursor })).toMatchObject({
      edges: [{ node: { id: edges[1]?.node.id } }],
    });
  });

  it(
    'of one process continues the list in another, in both directions',
    { timeout: SEVERAL_STARTS_MS },
    async () => {
      await using pair = await createTwoServers();
      const [one, other] = pair.servers.map(createClient) as [Client, Client];
      const threadId = await ask(one);
      expect(await cursorsOf(other, threadId)).toEqual(await cursorsOf(one, threadId));

      const all = (await runsOf(one, { first: 100 })).edges.map(({ node }) => node.id);
      const seen: string[] = [];
      let after: string | null = null;
      for (const client of [one, other, one]) {
        const page: Awaited<ReturnType<typeof runsOf>> = await runsOf(client, { first: 1, after });
        seen.push(...page.edges.map(({ node }) => node.id));
        after = page.pageInfo.endCursor;
      }
      expect(seen).toEqual(all);
      const back = await runsOf(other, { last: 2, before: after });
      expect(back.edges.map(({ node }) => node.id)).toEqual(all.slice(0, 2));
    },
  );
});
