import path from 'node:path';
import { Command, MemorySaver } from '@langchain/langgraph';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { toPlain } from '../src/checkpoints/plain.ts';
import { withCheckpointer } from '../src/graphs/load.ts';
import { randomId } from './support/app.ts';
import type { Client, RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';
import { planned, type Change, type Deeds, type Plan } from './support/ownership-graphs.ts';

const graphsFile = path.join(import.meta.dirname, 'support/ownership-graphs.json');
it.override('settings', { graphsFile });

const RUN = operation(`mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) {
    id status input output error { message } interrupts { id value } thread { values }
    events(first: 100) { nodes {
      __typename namespace ... on ValuesEvent { values } ... on UpdatesEvent { node update }
      ... on CustomEvent { told: data }
    } }
  }
}`);

const HISTORY = operation(`query ($id: ID!) {
  thread(id: $id) { values history(first: 100) { nodes { checkpointId step source values } } }
}`);

async function run(client: Client, input: RunInput) {
  const { createRun } = await client.gql(RUN, { input: { ifThreadMissing: 'CREATE', ...input } });
  return createRun;
}

async function historyOf(client: Client, id: string) {
  return (await client.gql(HISTORY, { id })).thread?.history.nodes ?? [];
}

describe('A graph whose nodes change their state in place', () => {
  it.for(['SYNC', 'ASYNC', 'EXIT'] as const)(
    'starts from the checkpoint as it was, and the client sees its own input: %s',
    async (durability, { client }) => {
      const given = { items: ['given'] };
      const threadId = randomId();
      const first = await run(client, {
        threadId,
        assistantId: 'append',
        input: given,
        durability,
      });
      expect(first).toMatchObject({ input: given, output: { items: ['given', 'added'] } });
      const history = await historyOf(client, threadId);
      const states =
        durability === 'EXIT' ? [['given', 'added']] : [['given', 'added'], ['given'], undefined];
      expect(history.map(({ values }) => valuesOf(values)['items'])).toEqual(states);
      const start = history.find(({ step }) => step === 0);
      if (!start) return;
      const { checkpointId } = start;
      const again = await run(client, {
        threadId,
        assistantId: 'append',
        input: null,
        checkpointId,
        durability,
      });
      expect(valuesOf(again.thread?.values)['items']).toEqual(['given', 'added']);
    },
  );

  it.for(['SYNC', 'ASYNC'] as const)(
    'keeps the checkpoint of a command as it was: %s',
    async (durability, { client }) => {
      const threadId = randomId();
      await run(client, { threadId, assistantId: 'two', input: { items: [] }, durability });
      const command = { update: { items: ['u'] }, goto: [{ node: 'b' }] };
      const ended = await run(client, {
        threadId,
        assistantId: 'two',
        input: null,
        command,
        durability,
      });
      expect(valuesOf(ended.thread?.values)['items']).toEqual(['u', 'b']);
      const [, before] = await historyOf(client, threadId);
      expect(before).toMatchObject({ source: 'INPUT', values: { items: ['u'] } });
    },
  );
});

const change = fc.constantFrom<Change>(
  'push item',
  'change item',
  'change doc',
  'change map',
  'change message',
);
const channel = fc.constantFrom(
  'items' as const,
  'doc' as const,
  'map' as const,
  'messages' as const,
);
const deeds: fc.Arbitrary<Deeds> = fc.record({
  before: fc.array(change, { maxLength: 3 }),
  tells: fc.boolean(),
  asks: fc.boolean(),
  after: fc.array(change, { maxLength: 3 }),
  returns: fc.uniqueArray(fc.record({ channel, copy: fc.boolean() }), {
    maxLength: 3,
    selector: (returned) => returned.channel,
  }),
  says: fc.nat(2),
});
/** Two nodes at once must not write the same channel. */
const quiet = deeds.map((each) => ({
  ...each,
  returns: each.returns.filter((returned) => returned.channel === 'messages'),
}));
const plan: fc.Arbitrary<Plan> = fc.record({
  first: deeds,
  left: deeds,
  right: quiet,
  last: deeds,
  inner: deeds,
});
const durability = fc.constantFrom('sync' as const, 'async' as const, 'exit' as const);
const MODES = ['VALUES', 'UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'] as const;
const modes = fc.option(fc.subarray([...MODES]), { nil: undefined });

/** The graph's input: objects for its nodes to change. */
const toInput = (planOf: Plan) => ({
  plan: planOf,
  items: [{ n: 0, tags: ['t'] }],
  doc: { n: 1, deep: { list: [1] } },
  messages: [{ role: 'user', content: 'hello', id: 'm1' }],
});

/** Values in the view of a client, with numbers in place of generated ids. */
function shown(values: unknown): unknown {
  const known: unknown[] = [];
  const numberOf = (id: unknown) =>
    (known.includes(id) ? known : (known.push(id), known)).indexOf(id);
  return JSON.parse(
    JSON.stringify(toPlain(values) ?? {}, (key, value) => (key === 'id' ? numberOf(value) : value)),
  );
}

interface Seen {
  asked: string[];
  /** Null if it asks. */
  output: unknown;
  values: unknown;
  history: unknown[];
}

/** The values of the questions, in an order that does not depend on time. */
const questions = (asked: readonly { value?: unknown }[]) =>
  asked.map(({ value }) => JSON.stringify(value)).toSorted();

/** The maximum number of rounds of answers. */
const MOST_ANSWERS = 6;

/** Runs a plan in process until it has no open questions. */
async function inProcess(planOf: Plan, durable: 'sync' | 'async' | 'exit'): Promise<Seen[]> {
  const graph = withCheckpointer(planned, new MemorySaver());
  const config = { configurable: { thread_id: 'one' }, durability: durable };
  const seen: Seen[] = [];
  let input: any = toInput(structuredClone(planOf));
  while (input && seen.length < MOST_ANSWERS) {
    const result = await graph.invoke(input, config);
    const { tasks, values } = await graph.getState(config);
    const open = tasks.flatMap(({ interrupts }) => interrupts);
    const history: unknown[] = [];
    for await (const each of graph.getStateHistory(config)) {
      history.push({
        source: each.metadata?.source.toUpperCase(),
        step: each.metadata?.step,
        values: shown(each.values),
      });
    }
    const output = open.length > 0 ? null : shown(result);
    seen.push({ asked: questions(open), output, values: shown(values), history });
    const resume = Object.fromEntries(open.map(({ id }) => [String(id), 'yes']));
    input = open.length > 0 && new Command({ resume });
  }
  return seen;
}

/** Runs the same plan on the server. */
async function onServer(
  client: Client,
  planOf: Plan,
  {
    durable,
    streamModes,
  }: { durable: 'sync' | 'async' | 'exit'; streamModes: RunInput['streamModes'] },
): Promise<Seen[]> {
  const seen: Seen[] = [];
  const threadId = randomId();
  let input: object | undefined = { input: toInput(planOf) };
  while (input && seen.length < MOST_ANSWERS) {
    const ended = await run(client, {
      ...input,
      threadId,
      assistantId: 'planned',
      durability: durable.toUpperCase() as Uppercase<typeof durable>,
      ...(streamModes && { streamModes }),
    });
    expect(ended).toMatchObject({ error: null, input: seen.length === 0 ? toInput(planOf) : null });
    const history = (await historyOf(client, threadId)).map(({ source, step, values }) => ({
      source,
      step,
      values: shown(values),
    }));
    const open: { id: string; value: unknown }[] = ended.interrupts;
    const output = open.length > 0 ? null : shown(ended.output);
    seen.push({ asked: questions(open), output, values: shown(ended.thread?.values), history });
    const resume = open.map(({ id }) => ({ interruptId: id, value: 'yes' }));
    input = open.length > 0 ? { command: { resume } } : undefined;
  }
  return seen;
}

describe('A graph whose nodes change their state in place, by any plan', () => {
  it(
    'has the states of MemorySaver, whichever stream modes are recorded',
    { timeout: 600_000 },
    async ({ client }) => {
      await fc.assert(
        fc.asyncProperty(plan, durability, modes, async (planOf, durable, streamModes) => {
          const expected = await inProcess(planOf, durable);
          expect(await onServer(client, planOf, { durable, streamModes })).toEqual(expected);
        }),
        {
          seed: Number(process.env['OWNERSHIP_SEED'] || 2026),
          numRuns: Number(process.env['OWNERSHIP_CASES'] || 25),
        },
      );
    },
  );
});
