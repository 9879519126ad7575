import { readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { describe, expect } from 'vitest';
import { openEmbedded } from '../src/db/embedded.ts';
import { createLogger } from '../src/log.ts';
import { human, until } from './support/app.ts';
import type { Client, RunInput } from './support/client.ts';
import { createEmptyDatabase, type TestDatabase } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf, type Values, type AnswerTo } from './support/graphql.ts';

// The fixture is a database of threadql with LangGraph 1.4.18. The metadata of each thread names its case.
const FIXTURE = path.join(import.meta.dirname, 'fixtures/langgraph-1.4.sql');

// oxlint-disable-next-line no-empty-pattern -- vitest reads the names of the fixtures from the pattern
it.override('database', async ({}, { onCleanup }) => {
  const database = await createEmptyDatabase();
  onCleanup(() => database.dispose());
  await load(database, await readFile(FIXTURE, 'utf8'));
  return database;
});

async function load({ databaseUrl, dataDir }: TestDatabase, script: string): Promise<void> {
  const embedded = databaseUrl ? undefined : await openEmbedded(dataDir, createLogger('silent'));
  const pool = new pg.Pool(embedded?.poolConfig ?? { connectionString: databaseUrl });
  await pool.query(script);
  await pool.end();
  await embedded?.close();
}

const THREADS = operation(`query ($name: JSONObject!) {
  threads(filter: { metadata: $name }) {
    nodes { id metadata status values interrupts { id node value } state { next } history { nodes { checkpointId values } } }
  }
}`);

type Thread = AnswerTo<typeof THREADS>['threads']['nodes'][number];

async function threadOf(client: Client, name: string): Promise<Thread> {
  const { threads } = await client.gql(THREADS, { name: { name } });
  return threads.nodes[0] ?? expect.fail(`No thread of the case ${name}`);
}

async function run(client: Client, name: string, more: Partial<RunInput>) {
  const { id: threadId, metadata } = await threadOf(client, name);
  return client.runToEnd({ threadId, assistantId: String(metadata['graph_id']), ...more });
}

/** Answers the oldest question until no question is open. Returns the questions in their order. */
async function answerAll(client: Client, name: string, value: unknown): Promise<unknown[]> {
  const asked: unknown[] = [];
  for (;;) {
    const [question] = (await threadOf(client, name)).interrupts;
    if (!question) return asked;
    asked.push(question.value);
    await run(client, name, { command: { resume: [{ interruptId: question.id, value }] } });
  }
}

const logged = (entries: string[]) => ({ log: entries });

/** For each case: the open questions and their successors, and the state after all answers are "now". */
const ASKING: Record<string, { asked: unknown[]; values: unknown }> = {
  'one question': {
    asked: [{ question: 'Go on?' }],
    values: { log: ['before', 'ask'], answer: 'now' },
  },
  'null as a question': { asked: [null], values: { log: ['ask'], answer: 'now' } },
  'questions side by side': {
    asked: ['one', 'two', 'three'],
    values: logged(['one: "now"', 'three: "now"', 'two: "now"', 'done']),
  },
  'questions side by side, one answered': {
    asked: ['two', 'three'],
    values: logged(['one: "yes"', 'three: "now"', 'two: "now"', 'done']),
  },
  'questions in a row': {
    asked: ['first', 'second', 'third'],
    values: logged(['first: "now"', 'second: "now"', 'third: "now"']),
  },
  'questions in a row, one answered': {
    asked: ['second', 'third'],
    values: logged(['first: "yes"', 'second: "now"', 'third: "now"']),
  },
  'questions in a row, two answered': {
    asked: ['third'],
    values: logged(['first: "yes"', 'second: "no"', 'third: "now"']),
  },
  'a question of a subgraph': {
    asked: [{ question: 'Really?' }],
    values: logged(['answered now']),
  },
  'questions of two subgraphs': {
    asked: [{ from: 'left' }, { from: 'right' }],
    values: logged(['left: now', 'right: now']),
  },
  'questions of two subgraphs, one answered': {
    asked: [{ from: 'right' }],
    values: logged(['left: yes', 'right: now']),
  },
  'a question two levels below': {
    asked: [{ from: 'below' }],
    values: logged(['top', 'top', 'note', 'top', 'note', 'below: now']),
  },
  'a question of a subgraph that remembers': {
    asked: [{ from: 'inside' }],
    values: logged(['inside: now']),
  },
  'four questions of a subgraph, one answered': {
    asked: ['right 1', 'left 2', 'right 2'],
    values: logged(['left 1: "yes"', 'left 2: "now"', 'right 1: "now"', 'right 2: "now"', 'after']),
  },
  'four questions of a subgraph that remembers, one answered': {
    asked: ['right 1', 'left 2', 'right 2'],
    values: logged(['left 1: "yes"', 'left 2: "now"', 'right 1: "now"', 'right 2: "now"', 'after']),
  },
  'questions of a graph that a node calls, one answered': {
    asked: ['right 1', 'left 2', 'right 2', 'left 1', 'right 1', 'left 2', 'right 2'],
    values: logged(
      ['first', 'second'].flatMap((call) => [
        call,
        `left 1: "${call === 'first' ? 'yes' : 'now'}"`,
        ...['left 2', 'right 1', 'right 2'].map((question) => `${question}: "now"`),
      ]),
    ),
  },
  'questions of a task, one answered': {
    asked: ['a 2', 'b 1', 'b 2'],
    values: ['a 1: "yes"', 'a 2: "now"', 'b 1: "now"', 'b 2: "now"'],
  },
  'questions of two tasks, three answered': {
    asked: ['b 2'],
    values: ['a 1: "yes"', 'a 2: "yes"', 'b 1: "yes"', 'b 2: "now"'],
  },
  'questions of tasks that were sent, one answered': {
    asked: [{ job: 'x' }, { job: 'z' }],
    values: { jobs: ['x', 'y', 'z'], log: ['plan', 'x: "now"', 'y: "yes"', 'z: "now"', 'done'] },
  },
  'a run that failed with its answer': { asked: ['go?'], values: logged(['went "now"']) },
};

/** For each case without a question: the input of a run, and the state after it. */
const GOING_ON: Record<string, { input: unknown; values: unknown }> = {
  'a conversation': {
    input: human('three'),
    values: ['one', 'echo: one', 'two', 'echo: two', 'three', 'echo: three'],
  },
  'a delta channel': { input: deltaInput('h3'), values: ['h1', 'a1', 'h2', 'a3', 'h3', 'a5'] },
  'a delta channel, stopped': {
    input: null,
    values: ['h1', 'a1', 'h2', 'a3', 'h3', 'a5', 'h4', 'a7', 'h5', 'a9'],
  },
  'jobs that were sent': {
    input: { jobs: ['c'] },
    values: ['plan', 'work a', 'work b', 'done', 'plan', 'work c', 'done'],
  },
  'a stop before tasks that were sent': {
    input: null,
    values: ['plan', 'work a', 'work b', 'done'],
  },
  'a stop before a node': { input: null, values: range(10).map((n) => `step${n + 1}`) },
  'a stop after a node': { input: null, values: range(10).map((n) => `step${n + 1}`) },
  'a stop within a subgraph': {
    input: null,
    values: ['weather in Paris', 'It is sunny in Paris.'],
  },
  'an edit by hand': { input: { total: 1 }, values: ['pick', 'low', 'pick', 'high'] },
};

describe('a database that an earlier LangGraph wrote', () => {
  it.for(Object.entries(ASKING))(
    'goes on with %s',
    async ([name, { asked, values }], { client }) => {
      expect(await answerAll(client, name, 'now')).toEqual(asked);
      expect(await threadOf(client, name)).toMatchObject({ status: 'IDLE', values });
    },
  );

  it('goes on with a question that has a schema, and asks again where an answer fails it', async ({
    client,
  }) => {
    const name = 'a question with a schema';
    const [question] = (await threadOf(client, name)).interrupts;
    const interruptId = question?.id ?? expect.fail('No question');
    const wrong = await run(client, name, { command: { resume: [{ interruptId, value: 'yes' }] } });
    expect(wrong).toMatchObject({ status: 'ERROR', error: { name: '$ZodError' } });
    const right = { resume: [{ interruptId, value: { approved: true } }] };
    expect(await run(client, name, { command: right })).toMatchObject({ status: 'SUCCESS' });
    const { values } = await threadOf(client, name);
    expect(valuesOf(values).messages.at(-1)?.content).toBe(
      'The tool says: E-mail sent to ann@example.com.',
    );
  });

  it('goes on with questions of tools, one answered', async ({ client }) => {
    const name = 'questions of tools, one answered';
    expect(await answerAll(client, name, 'now')).toEqual([{ question: 'Send?', to: 'bob' }]);
    const { values } = await threadOf(client, name);
    expect(
      valuesOf(values)
        .messages.slice(-2)
        .map(({ content }) => content),
    ).toEqual(['Mail to ann: "yes"', 'Mail to bob: "now"']);
  });

  it.for(Object.entries(GOING_ON))(
    'goes on with %s',
    async ([name, { input, values }], { client }) => {
      expect(await run(client, name, { input })).toMatchObject({ status: 'SUCCESS' });
      const thread = await threadOf(client, name);
      expect(shortened(thread.values)).toEqual(values);
      expect(thread.state?.next).toEqual([]);
    },
  );

  it('goes on with a step that half failed, without what had succeeded being done again', async ({
    client,
  }) => {
    const name = 'a step that half failed';
    expect((await threadOf(client, name)).values).toEqual({ log: ['good'] });
    expect(await run(client, name, { input: null })).toMatchObject({ status: 'ERROR' });
    expect((await threadOf(client, name)).values).toEqual({ log: ['good'] });
  });

  it('executes a run that was accepted before, with its answer', async ({ client }) => {
    const name = 'an answer accepted, not yet given';
    const values = await until(async () => {
      const thread = await threadOf(client, name);
      return thread.status === 'IDLE' && thread.values;
    });
    expect(values).toEqual({ log: ['before', 'ask'], answer: 'late' });
  });

  it('shows every state that its threads have been in', async ({ client }) => {
    const { history } = await threadOf(client, 'a delta channel');
    expect(history.nodes.map(({ values }) => shortened(values)).slice(-6)).toEqual([
      ['h1', 'a1', 'h2', 'a3'],
      ['h1', 'a1', 'h2'],
      ['h1', 'a1'],
      ['h1', 'a1'],
      ['h1'],
      [],
    ]);
  });
});

function range(length: number): number[] {
  return Array.from({ length }, (_, n) => n);
}

function deltaInput(id: string) {
  return { messages: [{ id, role: 'user', content: 'more' }] };
}

/** Messages by their id or content; without messages, the log. */
function shortened(json: unknown): unknown[] {
  const { messages, log }: Partial<Values> = valuesOf(json);
  if (!messages) return log ?? [];
  return messages.map(({ id, content }) => (/^[ah]\d+$/.test(id) ? id : content));
}
