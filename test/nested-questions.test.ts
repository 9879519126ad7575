import { describe, expect } from 'vitest';
import { until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import { findInterruptId, interruptsOf, resume, waitingThread } from './support/interrupts.ts';
import { loseAttempt } from './support/run-times.ts';
import { selectThread } from './support/select-thread.ts';

/** Answers questions of a thread in one run: from the text of the question to the answer. */
async function answer(
  client: Client,
  threadId: string,
  graph: string,
  answers: Record<string, string>,
) {
  const resumes = Object.entries(answers).map(async ([question, value]) => ({
    interruptId: await findInterruptId(client, threadId, question),
    value,
  }));
  return client.runToEnd(resume(threadId, graph, await Promise.all(resumes)));
}

/** Returns the texts of the pending interrupts, in the order of the server. */
const asked = async (client: Client, threadId: string) =>
  (await interruptsOf<string>(client, threadId)).map(({ value }) => value);

/** Sorts interrupts by text. */
const sorted = <Interrupt extends { value: unknown }>(interrupts: Interrupt[]) =>
  interrupts.toSorted((a, b) => String(a.value).localeCompare(String(b.value)));

const UPDATES = operation(`query ($id: ID!) {
  run(id: $id) { events(modes: [UPDATES]) { nodes { ... on UpdatesEvent { __typename node } } } }
}`);

/** Returns the nodes of a run, and of its subgraphs, that have stored their writes. */
async function endedNodes(client: Client, runId: string): Promise<string[]> {
  const { run } = await client.gql(UPDATES, { id: runId });
  return (run?.events.nodes ?? []).flatMap((event) =>
    event.__typename === 'UpdatesEvent' ? event.node : [],
  );
}

const logged = (log: string[]) => log.filter((entry) => entry.includes(':'));

describe('what two nodes of one graph within another ask', () => {
  /**
   * A subgraph, a subgraph with a state of its own, and the same two graphs called by the code of a node. LangGraph's state
   * does not show a called graph.
   */
  const WITHIN = ['pair', 'rememberingPair', 'callerPair', 'rememberingCallerPair'];
  const ROUND = ['left 1: "A"', 'left 2: "B"', 'right 1: "C"', 'right 2: "D"'];
  describe.each(WITHIN)('in %s', (graph) => {
    const rounds = graph.toLowerCase().includes('caller') ? 2 : 1;

    it.for(['ASYNC', 'SYNC', 'EXIT'] as const)(
      'is open side by side, and each answer goes to its own question alone, under %s',
      async (durability, { client }) => {
        const threadId = await client.createThread();
        await client.runToEnd({ threadId, assistantId: graph, input: {}, durability });
        const ids = new Set<string>();
        // Under EXIT, LangGraph does not store the result of a called graph before the end of its node.
        const last = durability === 'EXIT' ? 1 : rounds;
        for (let round = 1; round <= last; round++) {
          for (const [question, value, others] of [
            ['left 1', 'A', ['right 1']],
            ['right 1', 'C', ['left 2']],
            ['right 2', 'D', ['left 2']],
            ['left 2', 'B', []],
          ] as const) {
            expect((await asked(client, threadId)).toSorted()).toEqual(
              [...others, question].toSorted(),
            );
            for (const { id } of await interruptsOf(client, threadId)) ids.add(id);
            const interruptId = await findInterruptId(client, threadId, question);
            const input = resume(threadId, graph, [{ interruptId, value }], { durability });
            const run = await client.runToEnd(input);
            expect(run.error).toBeNull();
            const late = await client.refusal(
              resume(threadId, graph, [{ interruptId, value: '!' }]),
            );
            expect(late).toEqual({ code: 'CONFLICT' });
          }
        }
        expect(ids.size).toBe(4 * last);
        if (last < rounds) return;
        const thread = await client.getThread(threadId);
        expect(thread).toMatchObject({ status: 'IDLE', interrupts: [] });
        const log = logged(thread.values.log);
        expect(log.slice(0, 4)).toEqual(ROUND);
        expect(log.slice(-4)).toEqual(ROUND);
      },
    );

    it('is shown on the task and on the checkpoint, and on those of the graph within', async ({
      client,
    }) => {
      const threadId = await waitingThread(client, graph);
      const shown = (await interruptsOf(client, threadId)).map(({ id, value }) => ({ id, value }));
      const { state } = await selectThread(
        client,
        threadId,
        `state {
          interrupts { id value }
          tasks { interrupts { id value } state { next interrupts { id value } tasks { name interrupts { value } } } }
        }`,
      );
      const [task, ...others] = state?.tasks ?? [];
      expect([state?.interrupts, task?.interrupts, others]).toEqual([shown, shown, []]);
      if (rounds === 2) return; // No node is the graph.
      expect(task?.state).toEqual({
        next: ['left', 'right'],
        interrupts: shown,
        tasks: [
          { name: 'left', interrupts: [{ value: 'left 1' }] },
          { name: 'right', interrupts: [{ value: 'right 1' }] },
        ],
      });
    });

    it('is answered at once', async ({ client }) => {
      const threadId = await waitingThread(client, graph);
      for (let round = 1; round <= rounds; round++) {
        await answer(client, threadId, graph, { 'left 1': 'A', 'right 1': 'C' });
        expect((await asked(client, threadId)).toSorted()).toEqual(['left 2', 'right 2']);
        await answer(client, threadId, graph, { 'right 2': 'D', 'left 2': 'B' });
      }
      const thread = await client.getThread(threadId);
      expect(thread.status).toBe('IDLE');
      expect(logged(thread.values.log).slice(-4)).toEqual(ROUND);
    });

    it('is refused an answer without an id', async ({ client }) => {
      const threadId = await waitingThread(client, graph);
      const refused = await client.refusal(resume(threadId, graph, [{ value: 1 }]));
      expect(refused).toMatchObject({ code: 'BAD_USER_INPUT' });
    });

    it('is asked with the same ids at every look, and on a copy with its own', async ({
      client,
    }) => {
      const threadId = await waitingThread(client, graph);
      const [first, second] = [
        await interruptsOf(client, threadId),
        await interruptsOf(client, threadId),
      ];
      expect(second).toEqual(first);
      const copy = await client.copyThread(threadId);
      const copied = await interruptsOf(client, copy);
      expect(copied.map(({ value }) => value)).toEqual(first.map(({ value }) => value));
      const own = copied.map(({ id }) => id);
      expect(new Set([...own, ...first.map(({ id }) => id)]).size).toBe(4);
      for (const interruptId of own) {
        const foreign = resume(threadId, graph, [{ interruptId, value: 1 }]);
        expect(await client.refusal(foreign)).toEqual({ code: 'CONFLICT' });
      }
      // A run without an answer asks the same questions, with the same ids.
      await client.runToEnd({ threadId, assistantId: graph });
      expect(sorted(await interruptsOf(client, threadId))).toEqual(sorted(first));

      await answer(client, copy, graph, { 'left 1': 'copy' });
      expect((await asked(client, copy)).toSorted()).toEqual(['left 2', 'right 1']);
      expect(sorted(await interruptsOf(client, threadId))).toEqual(sorted(first));
    });

    it('gets no answer that was for the question before, after a lost worker', async ({
      client,
      server,
    }) => {
      const gate = createGate();
      const threadId = await waitingThread(client, graph, { hold: 'left 1', file: gate.file });
      const interruptId = await findInterruptId(client, threadId, 'left 1');
      const { id } = await client.startRun(resume(threadId, graph, [{ interruptId, value: 'A' }]));
      await client.untilRunning(id);
      await loseAttempt(server, client, id);
      await gate.open();
      expect(await client.untilEnded(id)).toMatchObject({ status: 'INTERRUPTED', attempt: 2 });
      expect((await asked(client, threadId)).toSorted()).toEqual(['left 2', 'right 1']);
      await answer(client, threadId, graph, { 'left 2': 'B', 'right 1': 'C' });
      expect(await asked(client, threadId)).toEqual(['right 2']);
      await answer(client, threadId, graph, { 'right 2': 'D' });
      expect(logged((await client.getThread(threadId)).values.log).slice(0, 4)).toEqual(
        rounds === 1 ? ROUND : [],
      );
    });

    it('is open again where the run of an answer was cancelled', async ({ client }) => {
      const gate = createGate();
      const threadId = await waitingThread(client, graph, { hold: 'left 1', file: gate.file });
      const before = await interruptsOf(client, threadId);
      const interruptId = await findInterruptId(client, threadId, 'left 1');
      const { id } = await client.startRun(resume(threadId, graph, [{ interruptId, value: 'A' }]));
      await client.untilRunning(id);
      await client.cancelRun(id);
      expect(sorted(await interruptsOf(client, threadId))).toEqual(sorted(before));
      await gate.open();
      await answer(client, threadId, graph, { 'left 1': 'again' });
      expect((await asked(client, threadId)).toSorted()).toEqual(['left 2', 'right 1']);
    });

    it('is not open where it was answered and its node ended, and the run was then cancelled', async ({
      client,
    }) => {
      const gate = createGate();
      const threadId = await waitingThread(client, graph, { hold: 'left 2', file: gate.file });
      await answer(client, threadId, graph, { 'left 1': 'A' });
      await answer(client, threadId, graph, { 'right 1': 'C' });
      const answers = [
        { interruptId: await findInterruptId(client, threadId, 'left 2'), value: 'B' },
        { interruptId: await findInterruptId(client, threadId, 'right 2'), value: 'D' },
      ];
      const { id } = await client.startRun(
        resume(threadId, graph, answers, { durability: 'SYNC', streamSubgraphs: true }),
      );
      await until(async () => (await endedNodes(client, id)).includes('right'));
      await client.cancelRun(id);
      expect(await asked(client, threadId)).toEqual(['left 2']);
      await gate.open();
      await answer(client, threadId, graph, { 'left 2': 'B' });
      const thread = await client.getThread(threadId);
      expect(logged(thread.values.log)).toEqual(rounds === 1 ? ROUND : []);
      const next = rounds === 1 ? [] : ['left 1', 'right 1'];
      expect((await asked(client, threadId)).toSorted()).toEqual(next);
    });

    it('goes with plain input, and is asked anew', async ({ client }) => {
      const threadId = await waitingThread(client, graph);
      const before = await interruptsOf(client, threadId);
      await client.runToEnd({ threadId, assistantId: graph, input: { log: ['again'] } });
      const after = await interruptsOf<string>(client, threadId);
      expect(after.map(({ value }) => value).toSorted()).toEqual(['left 1', 'right 1']);
      for (const { id } of before) expect(after.map((each) => each.id)).not.toContain(id);
      await answer(client, threadId, graph, { 'left 1': 'A', 'right 1': 'C' });
      expect((await asked(client, threadId)).toSorted()).toEqual(['left 2', 'right 2']);
    });
  });

  it('is open again under EXIT where LangGraph asks it again, having kept nothing of what the answer did', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const more = { durability: 'EXIT' } as const;
    await client.runToEnd({ threadId, assistantId: 'callerPair', input: {}, ...more });
    for (const question of ['left 1', 'right 1', 'right 2', 'left 2', 'left 1']) {
      const interruptId = await findInterruptId(client, threadId, question);
      await client.runToEnd(resume(threadId, 'callerPair', [{ interruptId, value: 'A' }], more));
    }
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: 'left 2' }],
    });
  });

  it.for(['rememberingPair', 'rememberingCallerPair'])(
    'in %s is not what it asked in an earlier turn, and nobody answered',
    async (graph, { client }) => {
      const threadId = await waitingThread(client, graph);
      const node = graph === 'rememberingPair' ? 'inner' : 'call';
      const stopped = await client.runToEnd({
        threadId,
        assistantId: graph,
        input: {},
        interruptBefore: [node],
      });
      expect(stopped.status).toBe('INTERRUPTED');
      expect(await client.getThread(threadId)).toMatchObject({
        interrupts: [],
        state: { next: [node] },
      });
    },
  );
});
