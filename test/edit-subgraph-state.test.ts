import { describe, expect } from 'vitest';
import { it } from './support/fixture.ts';
import { interruptsOf } from './support/interrupts.ts';
import { selectThread } from './support/select-thread.ts';
import {
  getState,
  getSubgraphHistory,
  namespaceOf,
  threadAfter,
  updateState,
} from './support/thread-states.ts';

describe('updateThreadState of a subgraph', () => {
  it('changes its state, closes its question, and a run goes on with it', async ({ client }) => {
    const id = await threadAfter(client, 'nestedAsk', {});
    const namespace = await namespaceOf(client, id, 'inner');
    const { checkpointId } = await getState(client, id);
    const before = await getState(client, id, { checkpointNamespace: namespace });
    const made = await updateState(client, id, {
      values: { log: ['by hand'] },
      asNode: 'ask',
      checkpointNamespace: namespace,
    });
    expect(made).toMatchObject({
      namespace,
      parentCheckpointId: before.checkpointId,
      source: 'UPDATE',
      step: before.step + 1,
      values: { log: ['by hand'] },
      next: [],
      writes: { ask: { log: ['by hand'] } },
    });
    expect(
      await selectThread(client, id, 'status interrupts { id } state { checkpointId next }'),
    ).toEqual({
      status: 'IDLE',
      interrupts: [],
      state: { checkpointId, next: ['inner'] },
    });
    const run = await client.runToEnd({ threadId: id, assistantId: 'nestedAsk' });
    expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['by hand'] } });
  });

  it('on an older checkpoint of the subgraph makes a branch there', async ({ client }) => {
    const id = await threadAfter(client, 'deepAsk', {});
    const namespace = await namespaceOf(client, id, 'middle');
    const { nodes } = await getSubgraphHistory(client, id, namespace);
    expect(nodes.map(({ next }) => next)).toEqual([['deepest'], ['note'], ['__start__']]);
    const made = await updateState(client, id, {
      values: { log: ['instead of note'] },
      asNode: 'note',
      checkpointId: nodes[1]?.checkpointId,
      checkpointNamespace: namespace,
    });
    expect(made).toMatchObject({
      values: { log: ['top', 'instead of note'] },
      next: ['deepest'],
      parentCheckpointId: nodes[1]?.checkpointId,
    });
    expect(await selectThread(client, id, 'status interrupts { id }')).toEqual({
      status: 'IDLE',
      interrupts: [],
    });
    const run = await client.runToEnd({ threadId: id, assistantId: 'deepAsk' });
    expect(run.status).toBe('INTERRUPTED');
    const { state } = await selectThread(client, id, 'state { tasks { state { values } } }');
    expect(state?.tasks).toEqual([{ state: { values: { log: ['top', 'instead of note'] } } }]);
  });

  it('leaves the question open that another subgraph asks', async ({ client }) => {
    const id = await threadAfter(client, 'twins', {});
    const asked = await interruptsOf<{ from: string }>(client, id);
    expect(asked).toHaveLength(2);
    await updateState(client, id, {
      values: { answer: 'by hand' },
      asNode: 'ask',
      checkpointNamespace: await namespaceOf(client, id, 'left'),
    });
    const thread = await client.getThread(id);
    expect(thread.status).toBe('INTERRUPTED');
    expect(thread.interrupts).toEqual(asked.filter(({ value }) => value.from === 'right'));
  });

  it.for(['pair', 'rememberingPair'])(
    'closes what its nodes asked side by side, and a run goes on without them: %s',
    async (assistantId, { client }) => {
      const id = await threadAfter(client, assistantId, {});
      const interrupts = await interruptsOf(client, id);
      expect(interrupts).toMatchObject([{ value: 'left 1' }, { value: 'right 1' }]);
      const namespace = interrupts[0]?.checkpointNamespace;
      expect(interrupts[1]?.checkpointNamespace).toBe(namespace);
      for (const asNode of ['left', 'right']) {
        const values = { log: [`${asNode} by hand`] };
        await updateState(client, id, { checkpointNamespace: namespace, values, asNode });
        const now = await selectThread(client, id, 'status interrupts { id }');
        expect(now).toEqual({ status: 'IDLE', interrupts: [] });
      }
      const run = await client.runToEnd({ threadId: id, assistantId });
      expect(run).toMatchObject({
        status: 'SUCCESS',
        output: { log: ['left by hand', 'right by hand', 'after'] },
      });
    },
  );

  it('reaches a subgraph of a subgraph', async ({ client }) => {
    const id = await threadAfter(client, 'deepAsk', {});
    const { state } = await selectThread(
      client,
      id,
      'state { tasks { state { tasks { state { namespace next tasks { name } values } } } } }',
    );
    const deepest = state?.tasks[0]?.state?.tasks[0]?.state;
    expect(deepest).toMatchObject({ next: ['ask'], values: { log: ['top', 'note'] } });
    const made = await updateState(client, id, {
      values: { answer: 'nobody asked' },
      asNode: 'ask',
      checkpointNamespace: deepest?.namespace,
    });
    expect(made).toMatchObject({ namespace: deepest?.namespace, next: ['note'] });
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'deepAsk' });
    expect(output.log.at(-1)).toBe('below: nobody asked');
  });
});

describe('The state of a subgraph', () => {
  const OWN = 'checkpointId namespace values next';

  it('is nested in its task to any depth, and is found by its namespace', async ({ client }) => {
    const id = await threadAfter(client, 'deepAsk', {});
    const { state } = await selectThread(
      client,
      id,
      `state { tasks { name state { ${OWN} tasks {
        name state { ${OWN} interrupts { value } tasks { name state { step } } }
      } } } }`,
    );
    expect(state?.tasks).toMatchObject([
      {
        name: 'middle',
        state: {
          namespace: expect.stringMatching(/^middle:[^|]+$/),
          next: ['deepest'],
          values: { log: ['top', 'note'] },
          tasks: [
            {
              name: 'deepest',
              state: {
                namespace: expect.stringMatching(/^middle:[^|]+\|deepest:[^|]+$/),
                next: ['ask'],
                values: { log: ['top', 'note'] },
                interrupts: [{ value: { from: 'below' } }],
                tasks: [{ name: 'ask', state: null }],
              },
            },
          ],
        },
      },
    ]);
    const middle = state?.tasks[0]?.state;
    const deepest = middle?.tasks[0]?.state;
    if (!middle || !deepest) expect.fail('The subgraphs have no states.');
    for (const { namespace, checkpointId, next, values } of [middle, deepest]) {
      const shown = { checkpointId, namespace, next, values };
      const atHead = await getState(client, id, { checkpointNamespace: namespace });
      expect(atHead).toMatchObject(shown);
      expect(atHead.values).toEqual(values);
      expect(await getState(client, id, { checkpointId, checkpointNamespace: namespace })).toEqual(
        atHead,
      );
      const history = await getSubgraphHistory(client, id, namespace);
      expect(history.nodes[0]).toEqual(shown);
      expect(history.totalCount).toBe(history.nodes.length);
      expect(history.nodes.every((node) => node.namespace === namespace)).toBe(true);
    }
  });
});
