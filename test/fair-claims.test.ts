import { describe, expect } from 'vitest';
import { human, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { createGate } from './support/gates.ts';
import { createViewer, it } from './support/viewers.ts';

it.override('settings', { auth: 'keys', workerConcurrency: 1 });

const ECHO = { assistantId: 'echo', input: human('x'), onCompletion: 'KEEP' } as const;

/** Starts runs while a run of the first client holds the only worker slot. */
async function queueBehind(first: Client, startAll: () => Promise<void>): Promise<void> {
  const gate = createGate();
  const threadId = await first.createThread();
  const input = { ...human('x'), file: gate.file };
  const held = await first.startRun({ threadId, assistantId: 'lookUp', input });
  await until(async () => (await first.getThread(threadId)).state?.next.includes('tools'));
  await startAll();
  await gate.open();
  await first.untilEnded(held.id);
}

describe('While all worker slots are taken', () => {
  it('the first run of an owner waits for one run of each slot, whatever another owner has queued', async ({
    viewers: { alice, bob },
    server,
  }) => {
    const { client: dave } = await createViewer(server, {
      tenant: 'other',
      owner: 'dave',
      role: 'member',
    });
    let mine: string[] = [];
    let others: { client: Client; id: string }[] = [];
    await queueBehind(alice, async () => {
      const started = await Promise.all(Array.from({ length: 30 }, () => alice.startRun(ECHO)));
      mine = started.map(({ id }) => id);
      others = await Promise.all(
        [bob, dave].map(async (client) => ({ client, id: (await client.startRun(ECHO)).id })),
      );
    });
    const runs = await Promise.all(mine.map((id) => alice.untilEnded(id)));
    const starts = runs.map(({ startedAt }) => String(startedAt)).toSorted();
    for (const { client, id } of others) {
      const { status, startedAt } = await client.untilEnded(id);
      expect(status).toBe('SUCCESS');
      // Each slot ends the run that it has. Then both owners come before the third run of the queue.
      expect(starts.filter((start) => start < String(startedAt)).length).toBeLessThanOrEqual(2);
    }
  });

  it('the runs of one owner start in the order of their acceptance', async ({
    viewers: { alice },
  }) => {
    const ids: string[] = [];
    await queueBehind(alice, async () => {
      for (let i = 0; i < 10; i++) ids.push((await alice.startRun(ECHO)).id);
    });
    const runs = await Promise.all(ids.map((id) => alice.untilEnded(id)));
    const starts = runs.map(({ startedAt }) => String(startedAt));
    expect(starts).toEqual(starts.toSorted());
  });
});
