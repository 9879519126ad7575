import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { idsOf, operation } from './support/graphql.ts';

const DELETE = operation(`mutation ($selection: ThreadSelection!) {
  deleteThreads(selection: $selection)
}`);

const UPDATE = operation(`mutation ($selection: ThreadSelection!, $metadata: JSONObject!) {
  updateThreads(selection: $selection, input: { metadata: $metadata }) { id metadata }
}`);

const COUNT = operation(
  `query ($filter: ThreadFilter) { threads(filter: $filter) { totalCount } }`,
);

const count = async (client: Client, metadata: Record<string, unknown>) =>
  (await client.gql(COUNT, { filter: { metadata } })).threads.totalCount;

/** Creates threads with the same mark. Returns their ids, the oldest first. */
async function createMarked(client: Client, size: number) {
  const metadata = { mark: randomId() };
  const ids: string[] = [];
  for (let n = 0; n < size; n++) ids.push(await client.createThread({ metadata }));
  return { metadata, ids, selection: { filter: { metadata } } };
}

describe('deleteThreads', () => {
  it('deletes threads by their ids, each once, and leaves out those that are gone', async ({
    client,
  }) => {
    const { metadata, ids } = await createMarked(client, 3);
    const [first = '', second = ''] = ids;
    const selection = { ids: [second, randomId(), first, second] };
    expect((await client.gql(DELETE, { selection })).deleteThreads).toEqual([second, first]);
    expect((await client.gql(DELETE, { selection })).deleteThreads).toEqual([]);
    expect(await count(client, metadata)).toBe(1);
  });

  it('deletes the newest hundred of a filter, with their runs, until none is left', async ({
    client,
  }) => {
    const { metadata, ids, selection } = await createMarked(client, 102);
    const gate = createGate();
    const { id: runId } = await client.startRun({
      threadId: String(ids.at(-1)),
      assistantId: 'gate',
      input: { file: gate.file },
    });
    const { deleteThreads } = await client.gql(DELETE, { selection });
    expect(deleteThreads).toEqual(ids.slice(2).toReversed());
    expect((await client.follow(runId)).at(-1)).toMatchObject({ status: 'CANCELLED' });
    expect((await client.gql(DELETE, { selection })).deleteThreads).toEqual(
      ids.slice(0, 2).toReversed(),
    );
    expect(await count(client, metadata)).toBe(0);
  });
});

describe('updateThreads', () => {
  it('merges metadata into the threads of a filter', async ({ client }) => {
    const { metadata, ids, selection } = await createMarked(client, 2);
    const other = await client.createThread({ metadata: { mark: 'another' } });
    await client.runToEnd({ threadId: other, assistantId: 'echo', input: human('x') });
    const { updateThreads } = await client.gql(UPDATE, {
      selection,
      metadata: { archived: true, mark: null },
    });
    expect(updateThreads).toEqual(
      ids.toReversed().map((id) => ({ id, metadata: { archived: true } })),
    );
    expect(await count(client, metadata)).toBe(0);
    expect((await client.getThread(other)).metadata).toMatchObject({ mark: 'another' });
    const again = { selection: { ids: [...ids, randomId()] }, metadata: { n: 1 } };
    expect(idsOf((await client.gql(UPDATE, again)).updateThreads)).toEqual(ids);
  });
});

describe('A selection of threads', () => {
  it.for<[object, string]>([
    [{ ids: [] }, 'selection.ids'],
    [{ ids: Array(101).fill(randomId()) }, 'selection.ids'],
    [{ ids: ['x'] }, 'selection.ids[0]'],
    [{ filter: {} }, 'selection.filter'],
    [{ filter: { status: null } }, 'selection.filter'],
    [{ filter: { metadata: {} } }, 'selection.filter'],
    [{ filter: { ids: ['x'] } }, 'selection.filter.ids[0]'],
    [{ filter: { text: '' } }, 'selection.filter.text'],
    [
      { filter: { updatedAfter: '2026-01-02T00:00:00Z', updatedBefore: '2026-01-01T00:00:00Z' } },
      'selection.filter.updatedBefore',
    ],
  ])('is refused if it is %j', async ([selection, argument], { client }) => {
    const [error] = await client.errors(DELETE, { selection });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument });
  });

  it.for([{}, { ids: [randomId()], filter: { status: ['IDLE'] } }, { ids: null }])(
    'has exactly one member, not %j',
    async (selection, { client }) => {
      const [error] = await client.errors(DELETE, { selection });
      expect(error?.message).toMatch(/exactly one|must not be null|must be non-null/i);
    },
  );
});
