import { describe, expect } from 'vitest';
import { human } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';

const RUN = operation(`query ($id: ID!) { run(id: $id) {
  startedAt finishedAt durationMs usage { inputTokens outputTokens totalTokens }
} }`);

const read = async (client: Client, id: string) =>
  (await client.gql(RUN, { id })).run ?? expect.fail(`No run ${id}`);

const usage = async (client: Client, id: string) => (await read(client, id)).usage;

/** Of one run of the graph `metered`. */
const METERED = { inputTokens: 30, outputTokens: 3, totalTokens: 33 };

describe('Run.usage', () => {
  it('counts the messages of the run only, also those that it removed again', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const metered = { threadId, assistantId: 'metered' };
    const [first, second] = [
      await client.runToEnd({ ...metered, input: human('one') }),
      await client.runToEnd({ ...metered, input: human('two') }),
    ];
    expect(await usage(client, first.id)).toEqual(METERED);
    expect(await usage(client, second.id)).toEqual(METERED);
    await client.copyThread(threadId);
    expect(await usage(client, second.id)).toEqual(METERED);
  });

  it('counts the stored messages of a run with durability EXIT: the last of each id', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const { id } = await client.runToEnd({
      threadId,
      assistantId: 'metered',
      input: human('one'),
      durability: 'EXIT',
    });
    expect(await usage(client, id)).toEqual({ inputTokens: 20, outputTokens: 2, totalTokens: 22 });
  });

  it('of a stateless run is read from its output, in a list, too', async ({ client }) => {
    const { id } = await client.runToEnd({ assistantId: 'metered', input: human('one') });
    const { runs } = await client.gql(
      operation(`query ($ids: [ID!]) { runs(filter: { ids: $ids }) {
        nodes { threadId usage { totalTokens } }
      } }`),
      { ids: [id] },
    );
    expect(runs.nodes).toEqual([{ threadId: null, usage: { totalTokens: 22 } }]);
    const { createRun } = await client.gql(
      operation(`mutation ($input: CreateRunInput!) {
        createRun(input: $input, wait: true) { durationMs usage { totalTokens } }
      }`),
      { input: { assistantId: 'metered', input: human('one') } },
    );
    expect(createRun).toEqual({
      durationMs: expect.any(Number),
      usage: { totalTokens: 22 },
    });
  });

  it('is null if no message has counts', async ({ client }) => {
    const threadId = await client.createThread();
    for (const [assistantId, input] of [
      ['echo', human('x')],
      ['steps', {}],
    ] as const) {
      const { id } = await client.runToEnd({ threadId, assistantId, input });
      expect(await usage(client, id)).toBeNull();
    }
  });
});

describe('Run.durationMs', () => {
  it('is the time from the start to the end, and null before the end', async ({ client }) => {
    const gate = createGate();
    const input = { file: gate.file };
    const { id } = await client.startRun({ assistantId: 'gate', input });
    await client.untilRunning(id);
    expect(await read(client, id)).toMatchObject({ durationMs: null });
    await gate.open();
    await client.untilEnded(id);
    const { startedAt, finishedAt, durationMs } = await read(client, id);
    expect(durationMs).toBe(Date.parse(String(finishedAt)) - Date.parse(String(startedAt)));
    expect(durationMs).toBeGreaterThan(0);
  });
});
