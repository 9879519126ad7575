import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human } from './support/app.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';
import { selectThread } from './support/select-thread.ts';

describe('Values', () => {
  it('that JSON does not have are shown as what is nearest', async ({ client }) => {
    const threadId = await client.createThread();
    const { id } = await client.runToEnd({
      threadId,
      assistantId: 'exotic',
      input: { value: null },
    });
    const value = {
      text: 'snow ☃, 🙂 and a null\0byte',
      map: { key: [1, 2] },
      set: ['a', 'b'],
      date: '1970-01-01T00:00:00.000Z',
      list: [null, null, { 1: 'one' }],
      bytes: 'aGk=',
    };
    const { values, state } = await selectThread(
      client,
      threadId,
      'values state { values writes }',
    );
    expect(values).toEqual({ value });
    expect(state).toEqual({ values: { value }, writes: { make: { value } } });
    const { run } = await client.gql(
      operation(`query ($id: ID!) { run(id: $id) { status output } }`),
      { id },
    );
    expect(run).toEqual({ status: 'SUCCESS', output: { value } });
    const events = await client.follow(id);
    const updates = events.filter((event) => event.__typename === 'UpdatesEvent');
    expect(updates.find(({ node }) => node === 'make')?.update).toEqual({ value });
  });

  it('that JSON does not have are the output of a stateless run, too', async ({ client }) => {
    const run = await client.runToEnd({ assistantId: 'exotic', input: { value: null } });
    expect(run).toMatchObject({
      status: 'SUCCESS',
      output: {
        value: { text: 'snow ☃, 🙂 and a null\0byte', map: { key: [1, 2] }, bytes: 'aGk=' },
      },
    });
  });

  it('may be text of any script and any kind of JSON', async ({ client }) => {
    const list = [
      'žluťoučký',
      '日本語',
      '👩‍👩‍👧',
      '\u2028',
      '',
      null,
      true,
      1.5e300,
      { a: [] },
      [[]],
      '\\u0000',
      '__proto__',
    ];
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'shrink', input: { list: ['first', ...list] } });
    expect(await selectThread(client, threadId, 'values')).toEqual({ values: { list } });
  });

  it('of lists hold the same element any number of times', async ({ client, server }) => {
    const threadId = await client.createThread();
    const log = ['same', 'same', 'other', 'same'];
    await client.runToEnd({ threadId, assistantId: 'parallel', input: { log } });
    await client.runToEnd({ threadId, assistantId: 'parallel', input: { log } });
    const nodes = ['left', 'right', 'join'];
    expect(await selectThread(client, threadId, 'values')).toEqual({
      values: { log: [...log, ...nodes, ...log, ...nodes] },
    });
    const [items] = await server.app.sql.query<{ count: number }>(
      sql`SELECT count(*)::int AS "count" FROM "ChannelItem" WHERE "threadId" = ${threadId}`,
    );
    // The state has each element once, and the writes of the nodes have it once.
    expect(items?.count).toBe(2 * new Set([...log, ...nodes]).size);
  });

  it('of lists may shrink, be replaced and be empty, and every state keeps its own', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    for (const list of [[1, 2, 3, 4], [4, 3], ['x'], [], [1, 2, 3, 4]]) {
      const run = await client.runToEnd({ threadId, assistantId: 'shrink', input: { list } });
      expect(run.output).toEqual({ list: list.slice(1) });
    }
    const { history } = await selectThread(client, threadId, 'history { nodes { values source } }');
    const lists = history.nodes
      .filter(({ source }) => source === 'LOOP')
      .map(({ values }) => valuesOf(values)['list']);
    expect(lists).toEqual([
      [2, 3, 4],
      [1, 2, 3, 4],
      [],
      [],
      [],
      ['x'],
      [3],
      [4, 3],
      [2, 3, 4],
      [1, 2, 3, 4],
    ]);
  });

  it('that claim to be of a class nobody knows stay what they are, and do no harm', async ({
    client,
  }) => {
    const list = [{ lc: 1, type: 'constructor', id: ['nope', 'Nope'], kwargs: {} }, 'last'];
    const threadId = await client.createThread();
    for (let turn = 0; turn < 2; turn++) {
      const run = await client.runToEnd({
        threadId,
        assistantId: 'shrink',
        input: { list: ['first', ...list] },
      });
      expect(run).toMatchObject({ status: 'SUCCESS', output: { list } });
    }
    expect(await selectThread(client, threadId, 'values')).toEqual({ values: { list } });
  });

  it('of two copies that go on differently stay apart', async ({ client }) => {
    const id = await client.createThread();
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('same') });
    const copy = await client.copyThread(id);
    const turns = ['same', 'one', 'same'];
    for (const said of turns) {
      await client.runToEnd({ threadId: id, assistantId: 'echo', input: human(said) });
    }
    for (const said of turns.toReversed()) {
      await client.runToEnd({ threadId: copy, assistantId: 'echo', input: human(`${said}!`) });
    }
    const textsOf = async (threadId: string) =>
      (await selectThread(client, threadId, 'messages { text }')).messages.map(({ text }) => text);
    const echoed = (said: string[]) => said.flatMap((each) => [each, `echo: ${each}`]);
    expect(await textsOf(id)).toEqual(echoed(['same', ...turns]));
    expect(await textsOf(copy)).toEqual(echoed(['same', 'same!', 'one!', 'same!']));
  });
});
