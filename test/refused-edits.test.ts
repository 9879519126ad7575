import { describe, expect } from 'vitest';
import { randomId, until } from './support/app.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { selectThread } from './support/select-thread.ts';
import {
  childrenOf,
  findState,
  getHistory,
  getState,
  refuseUpdate,
  threadAfter,
  UPDATE,
  updateState,
} from './support/thread-states.ts';

describe('updateThreadState is refused', () => {
  const NOWHERE = '1f02f46f-7308-616c-8000-1b158a9a6955';

  it.for<[what: string, edit: Record<string, unknown>, argument: string, message: RegExp]>([
    ['an unknown node', { asNode: 'nobody' }, 'input.asNode', /"nobody".*step1/],
    ['an unknown checkpoint', { checkpointId: NOWHERE }, 'input.checkpointId', /not a checkpoint/],
    ['no id', { checkpointId: 'x' }, 'input.checkpointId', /UUID/],
    [
      'an unknown namespace',
      { checkpointNamespace: 'nowhere:1' },
      'input.checkpointNamespace',
      /nowhere/,
    ],
    ['values that are no object', { values: 7, asNode: 'step1' }, 'input.values', /object/],
    ['no input', { values: null, asNode: '__input__' }, 'input.values', /input/],
  ])('for %s', async ([, input, argument, message], { client }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptAfter: ['step1'] });
    const before = await selectThread(client, id, 'status values updatedAt history { totalCount }');
    const error = await refuseUpdate(client, id, { values: { log: ['x'] }, ...input });
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', argument });
    expect(error.message).toMatch(message);
    expect(
      await selectThread(client, id, 'status values updatedAt history { totalCount }'),
    ).toEqual(before);
  });

  it('where a reducer throws', async ({ client }) => {
    const id = await threadAfter(client, 'route', { total: 1 });
    const error = await refuseUpdate(client, id, { values: { total: 'much' }, asNode: 'pick' });
    expect(error).toMatchObject({
      code: 'BAD_USER_INPUT',
      argument: 'input.values',
      message: expect.stringContaining('Only numbers add up.'),
    });
  });

  it('for a checkpoint of another thread, and one of another namespace', async ({ client }) => {
    const [mine, yours] = [
      await threadAfter(client, 'nestedAsk', {}),
      await threadAfter(client, 'nestedAsk', {}),
    ];
    const { checkpointId } = await getState(client, yours);
    const below = (
      await selectThread(client, mine, 'state { tasks { state { checkpointId namespace } } }')
    ).state?.tasks[0]?.state;
    for (const input of [
      { checkpointId },
      { checkpointId: below?.checkpointId },
      { checkpointId, checkpointNamespace: below?.namespace },
    ]) {
      expect(await refuseUpdate(client, mine, { ...input, asNode: '__copy__' })).toMatchObject({
        code: 'BAD_USER_INPUT',
        argument: 'input.checkpointId',
      });
    }
  });

  it('for the namespace of a graph that no node is', async ({ client }) => {
    const id = await client.createThread();
    const input = { threadId: id, assistantId: 'caller', input: {}, streamSubgraphs: true };
    const events = await client.follow((await client.runToEnd(input)).id);
    const below = events.find(({ namespace }) => namespace.length > 0);
    const checkpointNamespace = below?.namespace.join('|');
    expect(await findState(client, id, { checkpointNamespace })).not.toBeNull();
    const error = await refuseUpdate(client, id, { values: {}, checkpointNamespace });
    expect(error).toMatchObject({
      code: 'BAD_USER_INPUT',
      argument: 'input.checkpointNamespace',
    });
  });

  it('on a thread that has no graph, and on one that does not exist', async ({ client }) => {
    const error = await refuseUpdate(client, await client.createThread(), { values: {} });
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'id' });
    expect(error.message).toMatch(/no graph/);
    expect(await refuseUpdate(client, randomId(), { values: {} })).toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await refuseUpdate(client, 'x', { values: {} })).toMatchObject({
      code: 'BAD_USER_INPUT',
      argument: 'id',
    });
  });

  it('while a run is running or waits its turn, and not once they have ended', async ({
    client,
  }) => {
    const id = await client.createThread();
    const gate = createGate();
    const input = { threadId: id, assistantId: 'gate', input: { file: gate.file } };
    const first = await client.startRun(input);
    const second = await client.startRun(input);
    await until(async () => (await client.getThread(id)).state?.next[0] === 'hold');
    const edit = { values: { log: ['by hand'] }, asNode: 'before' };
    expect(await refuseUpdate(client, id, edit)).toMatchObject({ code: 'THREAD_BUSY' });
    await gate.open();
    await Promise.all([client.follow(first.id), client.follow(second.id)]);
    expect((await updateState(client, id, edit)).values.log.at(-1)).toBe('by hand');
  });
});

describe('Edits of one thread at the same time', () => {
  it('all stand, one on top of the other', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptAfter: ['step1'] });
    const head = await getState(client, id);
    const names = Array.from({ length: 20 }, (_, i) => `edit ${i}`);
    const made = await Promise.all(
      names.map((name) => updateState(client, id, { values: { log: [name] }, asNode: 'step2' })),
    );
    const { log } = (await getState(client, id)).values;
    expect(log[0]).toBe('step1');
    expect(log.slice(1).toSorted()).toEqual(names.toSorted());
    const chain = (await getHistory(client, id)).slice(0, 20).toReversed();
    expect(chain.map(({ parentCheckpointId }) => parentCheckpointId)).toEqual([
      head.checkpointId,
      ...chain.slice(0, -1).map(({ checkpointId }) => checkpointId),
    ]);
    expect(chain.map(({ step }) => step)).toEqual(names.map((_, i) => head.step + 1 + i));
    expect(new Set(made.map(({ checkpointId }) => checkpointId))).toEqual(
      new Set(chain.map(({ checkpointId }) => checkpointId)),
    );
  });

  it('all stand beside each other where they name the checkpoint', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptAfter: ['step1'] });
    const { checkpointId } = await getState(client, id);
    const names = Array.from({ length: 10 }, (_, i) => `edit ${i}`);
    const made = await Promise.all(
      names.map((name) =>
        updateState(client, id, { values: { log: [name] }, asNode: 'step2', checkpointId }),
      ),
    );
    expect(made.map(({ values }) => values.log)).toEqual(names.map((name) => ['step1', name]));
    expect(await childrenOf(client, id, checkpointId)).toHaveLength(10);
    expect(made).toContainEqual(
      expect.objectContaining({ values: (await getState(client, id)).values }),
    );
  });

  it('and a run come one after the other', async ({ client }) => {
    const id = await threadAfter(client, 'parallel', { log: ['first'] });
    const kept: string[] = [];
    for (let turn = 0; turn < 10; turn++) {
      const name = `edit ${turn}`;
      const input = { threadId: id, assistantId: 'parallel', input: { log: [`run ${turn}`] } };
      const [edit, run] = await Promise.all([
        client.request(UPDATE, { id, input: { values: { log: [name] }, asNode: 'join' } }),
        client.runToEnd(input),
      ]);
      expect(run.status).toBe('SUCCESS');
      expect(['THREAD_BUSY', undefined]).toContain(edit.errors?.[0]?.extensions['code']);
      if (!edit.errors) kept.push(name);
    }
    const { log } = (await getState(client, id)).values;
    expect(log.filter((entry) => entry.startsWith('edit'))).toEqual(kept);
    expect(log.filter((entry) => entry.startsWith('run'))).toHaveLength(10);
    expect(await selectThread(client, id, 'status')).toEqual({ status: 'IDLE' });
  });
});
