import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, expectTypeOf, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { RunStatus } from '../src/generated/prisma/enums.ts';
import { ask, RefusedError, type Question, type RunEvent } from './front-end/chat.ts';
import { human, randomId, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { openFragileProxy } from './support/fragile-proxy.ts';
import { createGate } from './support/gates.ts';
import { idsOf, operation } from './support/graphql.ts';
import { codeBlocks } from './support/guide.ts';
import { socketUrl } from './support/refusals.ts';
import { collect, FIRST_HALF, textOf, untilReaders, WHOLE } from './support/streams.ts';

// Browsers have this global, and Node from version 22.
beforeAll(() => void vi.stubGlobal('WebSocket', WebSocket));
afterAll(() => void vi.unstubAllGlobals());

const MESSAGES = operation(`query ($id: ID!) { thread(id: $id) { messages { text } } }`);
const RUNS = operation(`query ($threadId: ID!) {
  runs(filter: { threadId: $threadId }) { nodes { id status } }
}`);
const DELETE_RUN = operation(`mutation ($id: ID!) { deleteRun(id: $id) }`);
const DELETE_THREAD = operation(`mutation ($id: ID!) { deleteThread(id: $id) }`);

const messagesOf = async (client: Client, id: string) =>
  (await client.gql(MESSAGES, { id })).thread?.messages ?? [];

const eventsOf = (client: Client, { id }: { id: string }) =>
  client.follow(id, { modes: ['MESSAGES'] });

/** Asks graph `halves`. It streams its second half after its gate opens. */
function askHalves(client: Client, endpoint: string) {
  const gate = createGate();
  const threadId = randomId();
  const question = { threadId, assistantId: 'halves', input: { file: gate.file } };
  const find = async () => {
    const { runs } = await client.gql(RUNS, { threadId });
    expect(runs.nodes).toHaveLength(1);
    return runs.nodes[0] ?? expect.fail('No run');
  };
  const findEnded = () =>
    until(async () => {
      const run = await find();
      return run.status === 'SUCCESS' ? run : undefined;
    });
  const answer = collect(ask(endpoint.replace('http', 'ws'), question));
  return { answer, gate, threadId, find, findEnded };
}

// `npm run check` fails if these types differ from the schema.
expectTypeOf<Question>().toEqualTypeOf<{
  threadId: string;
  assistantId: string;
  input: unknown;
}>();
expectTypeOf<
  Extract<RunEvent, { __typename: 'RunFinishedEvent' }>['status']
>().toEqualTypeOf<RunStatus>();
expectTypeOf<
  Extract<RunEvent, { __typename: 'MessagesEvent' }>['message']['text']
>().toEqualTypeOf<string>();

describe("The guide's chat", () => {
  it('is the one that is tested here', () => {
    const file = path.join(import.meta.dirname, 'front-end/chat.ts');
    expect(codeBlocks('ts')).toEqual([readFileSync(file, 'utf8')]);
  });

  it('shows an answer as it is written, on a thread that goes on', async ({ client }) => {
    const threadId = randomId();
    const url = socketUrl(client);
    for (const text of ['Hello!', 'And again.']) {
      const question = { threadId, assistantId: 'agent', input: human(text) };
      const { seen, ended } = collect(ask(url, question));
      await ended;

      expect(seen[0]).toMatchObject({ __typename: 'RunStartedEvent' });
      expect(seen.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'SUCCESS' });
      const messages = await messagesOf(client, threadId);
      expect(messages.at(-2)?.text).toBe(text);
      expect(textOf(seen)).toBe(messages.at(-1)?.text);
    }
    expect(await messagesOf(client, threadId)).toHaveLength(4);
  });

  it('goes on where it was when its connection breaks, again and again, while the run runs', async ({
    client,
    server,
  }) => {
    await using proxy = await openFragileProxy(client.url);
    const { answer, gate, find } = askHalves(client, proxy.url);
    await until(() => textOf(answer.seen) === FIRST_HALF);

    for (let broken = 0; broken < 2; broken++) {
      proxy.cut();
      await untilReaders(server, 0);
      proxy.mend();
      await untilReaders(server, 1);
    }
    await gate.open();
    await answer.ended;

    expect(textOf(answer.seen)).toBe(WHOLE);
    expect(idsOf(answer.seen)).toEqual(idsOf(await eventsOf(client, await find())));
  });

  it('gets what it missed when it could not come back before the run had ended', async ({
    client,
  }) => {
    await using proxy = await openFragileProxy(client.url);
    const { answer, gate, find, findEnded } = askHalves(client, proxy.url);
    await until(() => textOf(answer.seen) === FIRST_HALF);

    proxy.cut();
    await gate.open();
    await findEnded();
    await until(() => proxy.refused > 0);
    expect(textOf(answer.seen)).toBe(FIRST_HALF);
    proxy.mend();
    await answer.ended;

    expect(textOf(answer.seen)).toBe(WHOLE);
    expect(idsOf(answer.seen)).toEqual(idsOf(await eventsOf(client, await find())));
  });

  it('asks once, though it never heard that its question had arrived', async ({ client }) => {
    await using proxy = await openFragileProxy(client.url);
    proxy.cutBefore('"createRun"');
    const { answer, gate, find } = askHalves(client, proxy.url);
    await until(() => proxy.refused > 0);
    const run = await find();
    proxy.mend();
    await gate.open();
    await answer.ended;

    expect(textOf(answer.seen)).toBe(WHOLE);
    expect(idsOf(answer.seen)).toEqual(idsOf(await eventsOf(client, run)));
    expect(await find()).toMatchObject({ id: run.id });
  });

  it.for([
    ['is told of the gap when its run was deleted before it came back', 'run'],
    ['is told of the gap when its thread was deleted before it came back', 'thread'],
  ] as const)('%s', async ([_what, removed], { client }) => {
    await using proxy = await openFragileProxy(client.url);
    const { answer, gate, threadId, findEnded } = askHalves(client, proxy.url);
    await until(() => textOf(answer.seen) === FIRST_HALF);
    const before = answer.seen.length;

    proxy.cut();
    await gate.open();
    const { id } = await findEnded();
    if (removed === 'run') await client.gql(DELETE_RUN, { id });
    else await client.gql(DELETE_THREAD, { id: threadId });
    proxy.mend();
    await answer.ended;

    expect(answer.seen.slice(before)).toMatchObject([
      { __typename: 'StreamGapEvent' },
      { __typename: 'RunFinishedEvent', status: 'SUCCESS' },
    ]);
  });

  it('gives up, and says why, when nothing is left of its run', async ({ client, server }) => {
    await using proxy = await openFragileProxy(client.url);
    const { answer, gate, findEnded } = askHalves(client, proxy.url);
    await until(() => textOf(answer.seen) === FIRST_HALF);

    proxy.cut();
    await gate.open();
    const { id } = await findEnded();
    await server.app.db.run.delete({ where: { id } });
    proxy.mend();

    await expect(answer.ended).rejects.toThrow(new RefusedError(`Run ${id} does not exist.`));
  });

  it.for<[string, Partial<Question>, RegExp]>([
    ['an assistant that is not there', { assistantId: randomId() }, /does not exist/],
    ['a thread id that is no UUID', { threadId: 'x' }, /UUID/],
  ])('is told why it may not ask %s', async ([_what, wrong, reason], { client }) => {
    const question = { threadId: randomId(), assistantId: 'echo', input: human('hello'), ...wrong };
    const { seen, ended } = collect(ask(socketUrl(client), question));
    await expect(ended).rejects.toThrow(reason);
    await expect(ended).rejects.toBeInstanceOf(RefusedError);
    expect(seen).toEqual([]);
  });
});
