import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { human, randomId, until, type TestApp } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, type AnswerTo } from './support/graphql.ts';
import { collect } from './support/streams.ts';

const CHANGES = operation(`
  subscription Changes($ids: [ID!], $filter: ThreadFilter) {
    threadChanges(ids: $ids, filter: $filter) {
      ... on ThreadUpdated { thread { id status metadata } }
      ... on ThreadRemoved { threadId reason }
    }
  }
`);
const CHANGED = operation(`
  subscription Changed($filter: ThreadFilter) { threadChanged(filter: $filter) { id metadata } }
`);
const UPDATE = operation(`
  mutation Update($id: ID!, $metadata: JSONObject!) {
    updateThread(id: $id, input: { metadata: $metadata }) { id }
  }
`);
const DELETE = operation(`mutation Delete($id: ID!) { deleteThread(id: $id) }`);

type Change = AnswerTo<typeof CHANGES>['threadChanges'];

/** Subscribes until the server stops, and waits until the subscription receives changes. `of` gives the changes of a thread so far. */
async function watch(
  { client, server }: { client: Client; server: TestApp },
  variables: VariablesOf<typeof CHANGES>,
) {
  const before = server.app.changes.watchers;
  const { seen, ended } = collect(client.subscribe(CHANGES, variables));
  await until(() => server.app.changes.watchers > before);
  const idOf = (change: Change) => ('thread' in change ? change.thread.id : change.threadId);
  return {
    ended,
    of: (id: string) =>
      seen.map(({ threadChanges }) => threadChanges).filter((change) => idOf(change) === id),
  };
}

describe('threadChanges with a filter', () => {
  it('sends a thread that comes to match, its changes, and its removal when it no longer matches', async ({
    client,
    server,
  }) => {
    const team = randomId();
    const id = await client.createThread({ metadata: { team, state: 'new' } });
    const filter = { metadata: { team, state: 'open' } };
    const watched = await watch({ client, server }, { filter });
    await client.gql(UPDATE, { id, metadata: { state: 'open' } });
    await until(() => watched.of(id).length === 1);
    await client.gql(UPDATE, { id, metadata: { title: 'x' } });
    await until(() => watched.of(id).length === 2);
    await client.gql(UPDATE, { id, metadata: { state: 'closed' } });
    await until(() => watched.of(id).length === 3);
    await client.gql(UPDATE, { id, metadata: { state: 'shut' } });
    await client.gql(UPDATE, { id, metadata: { state: 'open' } });
    const changes = await until(() => (watched.of(id).length === 4 ? watched.of(id) : undefined));
    expect(changes).toMatchObject([
      { thread: { metadata: { state: 'open' } } },
      { thread: { metadata: { state: 'open', title: 'x' } } },
      { threadId: id, reason: 'CHANGED' },
      { thread: { metadata: { state: 'open' } } },
    ]);
  });

  it('removes a thread that matched before the subscription began', async ({ client, server }) => {
    const team = randomId();
    const id = await client.createThread({ metadata: { team } });
    const watched = await watch({ client, server }, { filter: { metadata: { team } } });
    await client.gql(UPDATE, { id, metadata: { team: 'other' } });
    await until(() => watched.of(id).length === 1);
    expect(watched.of(id)).toEqual([{ threadId: id, reason: 'CHANGED' }]);
  });

  it('follows the status: a thread enters with its run and leaves at its end', async ({
    client,
    server,
  }) => {
    const id = await client.createThread();
    const watched = await watch({ client, server }, { filter: { ids: [id], status: ['ERROR'] } });
    await client.runToEnd({ threadId: id, assistantId: 'fail', input: { fail: true } });
    const failed = await until(() => watched.of(id).at(-1));
    expect(failed).toMatchObject({ thread: { status: 'ERROR' } });
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('x') });
    await until(() => watched.of(id).some((change) => 'threadId' in change));
    expect(watched.of(id).at(-1)).toEqual({ threadId: id, reason: 'CHANGED' });
  });

  it('sends nothing of threads that do not match, also when they are deleted', async ({
    client,
    server,
  }) => {
    const team = randomId();
    const [inside, outside] = [
      await client.createThread({ metadata: { team } }),
      await client.createThread(),
    ];
    const watched = await watch({ client, server }, { filter: { metadata: { team } } });
    await client.gql(UPDATE, { id: outside, metadata: { n: 1 } });
    await client.gql(DELETE, { id: outside });
    await client.gql(DELETE, { id: inside });
    await until(() => watched.of(inside).length === 1);
    expect(watched.of(inside)).toEqual([{ threadId: inside, reason: 'DELETED' }]);
    expect(watched.of(outside)).toEqual([]);
  });

  it('gives threadChanged the matching threads only', async ({ client, server }) => {
    const team = randomId();
    const before = server.app.changes.watchers;
    const { seen } = collect(client.subscribe(CHANGED, { filter: { metadata: { team } } }));
    await until(() => server.app.changes.watchers > before);
    const other = await client.createThread();
    const id = await client.createThread({ metadata: { team } });
    await until(() => seen.length > 0);
    expect(seen.map(({ threadChanged }) => threadChanged.id)).toEqual([id]);
    expect(seen.map(({ threadChanged }) => threadChanged.id)).not.toContain(other);
  });
});

describe('threadChanges without a filter', () => {
  it('tells of the deletion of any thread, once', async ({ client, server }) => {
    const id = await client.createThread();
    const watched = await watch({ client, server }, {});
    // The subscription has started when a change of another thread arrives.
    const probe = await client.createThread();
    await until(async () => {
      await client.gql(UPDATE, { id: probe, metadata: { at: randomId() } });
      return watched.of(probe).length > 0;
    });
    await client.gql(DELETE, { id });
    await client.gql(DELETE, { id: probe });
    await until(() => watched.of(probe).some((change) => 'threadId' in change));
    expect(watched.of(id)).toEqual([{ threadId: id, reason: 'DELETED' }]);
  });

  it('tells of the deletion of a watched thread, and completes with the last one', async ({
    client,
    server,
  }) => {
    const ids = [await client.createThread(), await client.createThread()];
    const watched = await watch({ client, server }, { ids });
    for (const id of ids) await until(() => watched.of(id).length === 1);
    for (const id of ids) await client.gql(DELETE, { id });
    await watched.ended;
    for (const id of ids) {
      expect(watched.of(id).at(-1)).toEqual({ threadId: id, reason: 'DELETED' });
    }
  });
});

describe('bad input', () => {
  it.for<[VariablesOf<typeof CHANGES>, string]>([
    [{ ids: [randomId()], filter: {} }, 'filter'],
    [{ filter: { ids: ['x'] } }, 'filter.ids[0]'],
    [{ filter: { ids: [] } }, 'filter.ids'],
  ] as const)(
    '%o is refused with the name of the argument',
    async ([variables, argument], { client }) => {
      const { ended } = collect(client.subscribe(CHANGES, variables));
      await expect(ended).rejects.toMatchObject({
        errors: [{ extensions: { code: 'BAD_USER_INPUT', argument } }],
      });
    },
  );
});
