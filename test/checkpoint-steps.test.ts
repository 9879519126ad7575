import { describe, expect } from 'vitest';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { measureValueReads, watchStatements } from './support/queries.ts';
import { threadAfter, updateState } from './support/thread-states.ts';

// For large inputs.
it.override('settings', { bodyLimitBytes: 4_000_000 });

const STEPS = operation(`query ($id: ID!) {
  thread(id: $id) { history(first: 100) { nodes { step source next ran } } }
}`);

const NEXT_WITH_VALUES = operation(`query ($id: ID!) {
  thread(id: $id) { history(first: 100) { nodes { values next } } }
}`);

/** Reads the steps of a thread, the oldest first. */
async function readSteps(client: Client, id: string) {
  const { thread } = await client.gql(STEPS, { id });
  return (thread?.history.nodes ?? []).toReversed();
}

/** Reads the next nodes of each checkpoint from its values, the oldest first. */
async function nextFromValues(client: Client, id: string) {
  const { thread } = await client.gql(NEXT_WITH_VALUES, { id });
  return (thread?.history.nodes ?? []).map(({ next }) => next).toReversed();
}

describe('The nodes before and after a checkpoint', () => {
  it('are named once for each task', async ({ client }) => {
    const id = await threadAfter(client, 'fanOut', { jobs: ['a', 'b'] });
    expect(await readSteps(client, id)).toEqual([
      { step: -1, source: 'INPUT', next: ['__start__'], ran: [] },
      { step: 0, source: 'LOOP', next: ['plan'], ran: ['__start__'] },
      { step: 1, source: 'LOOP', next: ['work', 'work'], ran: ['plan'] },
      { step: 2, source: 'LOOP', next: ['done'], ran: ['work', 'work'] },
      { step: 3, source: 'LOOP', next: [], ran: ['done'] },
    ]);
  });

  it('take the same few statements for a page of any length', async ({ client, server }) => {
    const short = await threadAfter(client, 'fanOut', { jobs: [] });
    const long = await threadAfter(client, 'steps', {});
    for (let i = 0; i < 6; i++)
      await client.runToEnd({ threadId: long, assistantId: 'steps', input: {} });
    const seen = watchStatements(server);
    const few = await readSteps(client, short);
    const { statements } = seen;
    const many = await readSteps(client, long);
    expect(many.length).toBeGreaterThan(10 * few.length);
    expect(seen.statements - statements).toBe(statements);
  });

  it('are read without the values', async ({ client, server }) => {
    const text = 'x'.repeat(100_000);
    const id = await threadAfter(client, 'parallel', { log: [text] });
    const { result, chars } = await measureValueReads(server, () => readSteps(client, id));
    expect(result.at(-2)).toMatchObject({ next: ['join'], ran: ['left', 'right'] });
    expect(chars).toBeLessThan(text.length);
  });

  it('are read without the large arguments of Sends', async ({ client, server }) => {
    const job = 'x'.repeat(1_500_000);
    const id = await threadAfter(client, 'fanOut', { jobs: ['small', job, 'small', job] });
    const { result, chars } = await measureValueReads(server, () => readSteps(client, id));
    const four = ['work', 'work', 'work', 'work'];
    expect(result.map(({ next }) => next)).toContainEqual(four);
    expect(result.map(({ ran }) => ran)).toContainEqual(four);
    expect(chars).toBeLessThan(job.length);
  });

  it('include the targets of a command', async ({ client }) => {
    const id = await threadAfter(client, 'fanOut', { jobs: [] });
    const goto = [{ node: 'work', input: { job: 'x' } }, { node: 'plan' }];
    await client.runToEnd({ threadId: id, assistantId: 'fanOut', command: { goto } });
    const steps = await readSteps(client, id);
    expect(steps.map(({ ran }) => ran)).toContainEqual(['work', 'plan']);
    expect(steps.map(({ next }) => next)).toEqual(await nextFromValues(client, id));
  });

  it('are those of all steps for a run that stores its last checkpoint only', async ({
    client,
  }) => {
    const id = await threadAfter(client, 'parallel', {}, { durability: 'EXIT' });
    const steps = await readSteps(client, id);
    expect(steps.at(-1)).toMatchObject({ next: [], ran: ['__start__', 'join', 'left', 'right'] });
  });

  it('are none after an edit of a client', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {});
    await updateState(client, id, { asNode: 'step3', values: { log: ['edit'] } });
    expect((await readSteps(client, id)).at(-1)).toMatchObject({
      source: 'UPDATE',
      next: ['step4'],
      ran: [],
    });
  });
});
