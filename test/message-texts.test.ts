import { describe, expect, inject, vi } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { queryDirectly } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import { intercept } from './support/queries.ts';

const FOLLOW = operation(`
  subscription ($runId: ID!, $after: ID, $modes: [StreamMode!]) {
    runEvents(runId: $runId, after: $after, modes: $modes) {
      id
      ... on MessagesEvent { isChunk text message { messageId text } }
      ... on RunStartedEvent { attempt }
    }
  }
`);

interface Told {
  id: string;
  isChunk?: boolean;
  text?: string;
  message?: { messageId: string | null; text: string };
  attempt?: number;
}

async function follow(client: Client, runId: string, after?: string): Promise<Told[]> {
  const told: Told[] = [];
  for await (const { runEvents } of client.subscribe(FOLLOW, { runId, after })) {
    told.push(runEvents);
  }
  return told;
}

/** Joins the chunks of each message as a client does. */
function joined(events: readonly Told[]): (string | undefined)[] {
  const texts = new Map<string, string>();
  return events.map(({ message, isChunk }) => {
    if (!message || !isChunk) return message?.text;
    const id = String(message.messageId);
    texts.set(id, `${texts.get(id) ?? ''}${message.text}`);
    return texts.get(id);
  });
}

const textsOf = (events: readonly Told[]) => events.map(({ text }) => text);

describe('The text of a message so far', () => {
  it('is the joined chunks for each event, also for a reader who joins later, in any process', async ({
    client,
    database,
    startServer,
  }) => {
    const { id } = await client.startRun({ assistantId: 'tokens', input: {} });
    const events = await follow(client, id);
    expect(events.filter(({ isChunk }) => isChunk)).toHaveLength(200);
    expect(textsOf(events)).toEqual(joined(events));

    // The embedded database has one process.
    const readers =
      inject('database') === 'postgres' ? [(await startServer({}, database)).client] : [];
    for (const reader of [...readers, client]) {
      const rest = await follow(reader, id, events[120]?.id);
      expect(rest).toEqual(events.slice(121));
    }
    const { run } = await client.gql(
      operation(
        `query ($id: ID!) { run(id: $id) { events(first: 50) { nodes { id ... on MessagesEvent { text } } } } }`,
      ),
      { id },
    );
    const nodes = (run?.events.nodes ?? []) as Told[];
    expect(textsOf(nodes)).toEqual(textsOf(events.slice(0, 50)));
  });

  it('is read once from the table, for all readers', async ({ client, server }) => {
    const { id } = await client.startRun({ assistantId: 'tokens', input: {} });
    await client.untilEnded(id);
    const { sql: database } = server.app;
    const send = database.query.bind(database);
    let reads = 0;
    const counting = intercept(send, ({ text }, sent) => {
      if (/FROM "RunEvent"/.test(text)) reads += 1;
      return sent();
    });
    const spy = vi.spyOn(database, 'query').mockImplementation(counting);
    try {
      const [first, second] = await Promise.all([follow(client, id), follow(client, id)]);
      expect(textsOf(first)).toEqual(joined(first));
      expect(second).toEqual(first);
    } finally {
      spy.mockRestore();
    }
    expect(reads).toBeLessThan(12);
  });

  it(
    'begins again with each attempt',
    { timeout: 120_000 },
    async ({ ownDatabase, startProcess }) => {
      const first = await startProcess(ownDatabase);
      const gate = createGate();
      const input = { file: gate.file };
      const { id } = await first.client.startRun({ assistantId: 'fixedId', input });
      const chunks = first.client.subscribe(FOLLOW, { runId: id, modes: ['MESSAGES'] });
      for await (const { runEvents } of chunks) if ('text' in runEvents) break;
      await first.end('SIGKILL');
      await queryDirectly(
        ownDatabase,
        sql`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "id" = ${id}`,
      );
      const { client } = await startProcess(ownDatabase);
      await until(async () => (await client.getRun(id)).attempt === 2);
      await gate.open();
      const events = await follow(client, id);
      const shown = events.flatMap(({ attempt, text }) => attempt ?? text ?? []);
      expect(shown).toEqual([1, 'one ', 2, 'one ', 'one two ']);
      const between = events.find(({ attempt }) => attempt === 2);
      expect(textsOf(await follow(client, id, between?.id)).filter(Boolean)).toEqual([
        'one ',
        'one two ',
      ]);
    },
  );
});
