import { describe, expect, inject } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { assistantIdOf } from '../src/graphs/load.ts';
import { human, randomId, until, type Document } from './support/app.ts';
import { isWaitedFor } from './support/databases.ts';
import { createWorld, missingWorld, withoutIds, type World } from './support/foreign-world.ts';
import { operation } from './support/graphql.ts';
import { createViewer, it as base, type ViewerClient, type ViewerName } from './support/viewers.ts';

// Inputs name objects of alice: ids in use, cursors, idempotency keys.

type Stranger = 'bob' | 'carol';
const STRANGERS = ['bob', 'carol'] as const satisfies ViewerName[];

const it = base
  .extend('world', { scope: 'file' }, ({ viewers }) => createWorld(viewers.alice))
  .extend('homes', { scope: 'file' }, async ({ viewers }) => {
    const [bob, carol] = [await createWorld(viewers.bob), await createWorld(viewers.carol)];
    return { bob, carol } satisfies Record<Stranger, World>;
  });

const CREATE_RUN = operation(`
  mutation Create($input: CreateRunInput!) {
    createRun(input: $input, wait: true) { id isNew status threadId }
  }
`);
const CREATE_RUNS = operation(`
  mutation CreateAll($input: CreateRunInput!) { createRuns(inputs: [$input, $input]) { id } }
`);
const CREATE_THREAD = operation(`
  mutation CreateThread($input: CreateThreadInput!) { createThread(input: $input) { id isNew } }
`);
const CREATE_ASSISTANT = operation(`
  mutation CreateAssistant($input: CreateAssistantInput!) {
    createAssistant(input: $input) { id isNew }
  }
`);

/** Sends a document with an id in its input; the answer has "<id>" in its place. */
async function answerFor(
  client: ViewerClient,
  document: Document,
  id: string,
  input: object,
): Promise<unknown> {
  const answer = await client.request(document, { input });
  return JSON.parse(JSON.stringify(answer).replaceAll(id, '<id>'));
}

const conflict = { errors: [{ extensions: { code: 'CONFLICT' } }] };

describe('an id in use', () => {
  const run = { assistantId: 'tokens', input: human('hi') };
  const create = { ...run, ifThreadMissing: 'CREATE' };
  const cases: [string, Document, (id: string) => object][] = [
    ['createRun', CREATE_RUN, (threadId) => ({ ...create, threadId })],
    [
      'createRun that decides about other runs',
      CREATE_RUN,
      (threadId) => ({ ...create, threadId, multitaskStrategy: 'INTERRUPT' }),
    ],
    ['createRuns', CREATE_RUNS, (threadId) => ({ ...create, threadId })],
  ];

  it.for(cases)(
    'is not a missing thread for %s, and reads as the id of an object of any type',
    async ([, document, input], { viewers, world, homes }) => {
      for (const name of STRANGERS) {
        const client = viewers[name];
        const own = homes[name].assistant;
        const expected = await answerFor(client, document, own, input(own));
        expect(expected).toMatchObject(conflict);
        for (const id of [world.chat, world.asking, world.chatRun]) {
          expect(await answerFor(client, document, id, input(id)), name).toEqual(expected);
        }
      }
      const { chat } = await viewers.alice.gql(
        operation(`query ($id: ID!) { chat: thread(id: $id) { runs { totalCount } } }`),
        { id: world.chat },
      );
      expect(chat?.runs.totalCount).toBe(3);
    },
  );

  const steps = [{ updates: [{ asNode: '__copy__' }] }];
  const threads: [string, object][] = [
    ['RAISE', { ifExists: 'RAISE' }],
    ['DO_NOTHING', { ifExists: 'DO_NOTHING' }],
    ['DO_NOTHING and supersteps', { ifExists: 'DO_NOTHING', graphId: 'tokens', supersteps: steps }],
  ];

  it.for(threads)(
    'is a CONFLICT for createThread with %s',
    async ([, more], { viewers, world, homes }) => {
      for (const name of STRANGERS) {
        const own = homes[name].chat;
        const raise = { id: own, ifExists: 'RAISE' };
        const expected = await answerFor(viewers[name], CREATE_THREAD, own, raise);
        expect(expected).toMatchObject(conflict);
        for (const id of [world.chat, world.asking, world.chatRun]) {
          const answer = await answerFor(viewers[name], CREATE_THREAD, id, { ...more, id });
          expect(answer, name).toEqual(expected);
        }
      }
    },
  );

  it.for(['RAISE', 'DO_NOTHING'])(
    'is a CONFLICT for createAssistant with %s in another tenant',
    async (ifExists, { viewers, world, homes }) => {
      const own = homes.carol.assistant;
      const input = { graphId: 'tokens', ifExists };
      const raise = { ...input, id: own, ifExists: 'RAISE' };
      const expected = await answerFor(viewers.carol, CREATE_ASSISTANT, own, raise);
      expect(expected).toMatchObject(conflict);
      for (const id of [world.assistant, world.chat, world.chatRun]) {
        const answer = await answerFor(viewers.carol, CREATE_ASSISTANT, id, { ...input, id });
        expect(answer).toEqual(expected);
      }
    },
  );

  it('tells nothing of a stateless run of others in its thread', async ({ viewers, homes }) => {
    const stateless = { assistantId: 'echo', input: human('alone'), afterSeconds: 3600 };
    const threadId = String((await viewers.alice.startRun(stateless)).threadId);
    const answer = (id: string, more: object) =>
      answerFor(viewers.bob, CREATE_RUN, id, { ...run, ...more, threadId: id });
    expect(await answer(threadId, {})).toEqual(await answer(randomId(), {}));
    const creates = { ifThreadMissing: 'CREATE' };
    expect(await answer(threadId, creates)).toEqual(await answer(homes.bob.assistant, creates));
  });

  it('is not taken by a thread of another viewer with the same supersteps', async ({ viewers }) => {
    const id = randomId();
    const input = {
      id,
      graphId: 'tokens',
      supersteps: [{ updates: [{ asNode: '__input__', values: human('mine') }] }],
    };
    const answers = await Promise.all(
      [viewers.alice, viewers.bob].map((client) => client.request(CREATE_THREAD, { input })),
    );
    const created = answers.filter(({ errors }) => !errors);
    expect(created).toHaveLength(1);
  });
});

describe('an idempotency key of another viewer', () => {
  const same = (key: string, text: string) => ({
    assistantId: 'echo',
    input: human(text),
    idempotencyKey: key,
  });

  it.for(['bob', 'carol', 'admin'] as const)(
    'makes a new run for %s, with an equal and with a different input',
    async (name, { viewers }) => {
      const key = randomId();
      const { createRun: first } = await viewers.alice.gql(CREATE_RUN, { input: same(key, 'one') });
      const { createRun: second } = await viewers[name].gql(CREATE_RUN, {
        input: same(key, 'one'),
      });
      expect(second).toMatchObject({ isNew: true, status: 'SUCCESS' });
      expect(second.id).not.toBe(first.id);
      const other = randomId();
      await viewers.alice.gql(CREATE_RUN, { input: same(other, 'one') });
      const { createRun: third } = await viewers[name].gql(CREATE_RUN, {
        input: same(other, 'two'),
      });
      expect(third.isNew).toBe(true);
    },
  );

  it('returns no run to a viewer who has lost the right to read it', async ({
    viewers,
    server,
  }) => {
    const threadId = await viewers.alice.createThread();
    const input = { ...same(randomId(), 'by an admin'), threadId };
    await viewers.admin.gql(CREATE_RUN, { input });
    const key = { tenant: 'acme', owner: 'ada', role: 'member' } as const;
    const { client } = await createViewer(server, key);
    const [error] = await client.errors(CREATE_RUN, { input });
    expect(error?.extensions['code']).toBe('CONFLICT');
    expect(error?.message).toContain('belongs to a run of another owner');
  });

  it('makes one run for each of several viewers at the same time', async ({ viewers }) => {
    const input = same(randomId(), 'race');
    const clients = [viewers.alice, viewers.bob, viewers.carol, viewers.alice];
    const runs = await Promise.all(clients.map((client) => client.gql(CREATE_RUN, { input })));
    const ids = runs.map(({ createRun }) => createRun.id);
    expect(new Set(ids).size).toBe(3);
    expect(ids[3]).toBe(ids[0]);
  });

  it('makes a new run for streamRun, and has no events to continue from', async ({ viewers }) => {
    const input = same(randomId(), 'stream');
    const stream = operation(`
      subscription Stream($input: CreateRunInput!, $after: ID) {
        streamRun(input: $input, after: $after) { id runId }
      }
    `);
    const read = async (client: ViewerClient) => {
      const seen = [];
      for await (const { streamRun } of client.subscribe(stream, { input })) seen.push(streamRun);
      return seen;
    };
    const [own, foreign] = [await read(viewers.alice), await read(viewers.bob)];
    expect(foreign[0]?.runId).not.toBe(own[0]?.runId);
    const carol = viewers.carol.subscribe(stream, { input, after: own[0]?.id ?? '' });
    await expect(carol.next()).rejects.toThrow('No run has this idempotencyKey yet');
  });
});

describe('a cursor of another viewer', () => {
  const cursorOf = async (client: ViewerClient, list: string) =>
    (await client.gql(`{ ${list} { pageInfo { startCursor } } }`))[list].pageInfo.startCursor;

  it.for(['threads', 'runs', 'assistants', 'pendingInterrupts'])(
    'gives only own rows in %s',
    async (list, { viewers, homes }) => {
      expect(homes.carol.chat).toBeDefined();
      const ids = async (args: string) =>
        (await viewers.carol.gql(`{ ${list}${args} { totalCount nodes { id } } }`))[list];
      const all = await ids('(first: 100)');
      const cursor = JSON.stringify(await cursorOf(viewers.alice, list));
      const pages = [
        await ids(`(last: 100, before: ${cursor})`),
        await ids(`(first: 100, after: ${cursor})`),
      ];
      for (const page of pages) expect(page.totalCount).toBe(all.totalCount);
      const both = pages.flatMap(({ nodes }) => nodes);
      expect(both).toHaveLength(all.nodes.length);
      expect(both).toEqual(expect.arrayContaining(all.nodes));
    },
  );

  /** Reads an own object with the id of a foreign part. */
  const parts: [string, (own: World, target: World) => string][] = [
    [
      'Thread.state',
      (own, { oldCheckpoint }) =>
        `thread(id: "${own.chat}") { state(checkpointId: "${oldCheckpoint}") { values } }`,
    ],
    [
      'Thread.history(olderThan:)',
      (own, { oldCheckpoint }) =>
        `thread(id: "${own.chat}") { history(olderThan: "${oldCheckpoint}") { nodes { values } } }`,
    ],
    [
      'Thread.history(filter:)',
      (own, { chatRun }) =>
        `thread(id: "${own.chat}") { history(filter: { runId: "${chatRun}" }) { totalCount nodes { values } } }`,
    ],
    [
      'Thread.messages(before:)',
      (own, { message }) => `thread(id: "${own.chat}") { messages(before: "${message}") { text } }`,
    ],
    [
      'Checkpoint.children(after:)',
      (own, { oldCheckpoint }) =>
        `thread(id: "${own.chat}") { state { children(after: "${oldCheckpoint}") { values } } }`,
    ],
    [
      'Run.events(after:)',
      (own, { chatEvent }) =>
        `run(id: "${own.chatRun}") { events(after: "${chatEvent}") { nodes { id } } }`,
    ],
    [
      'Query.runs(filter:)',
      (own, { assistant }) =>
        `runs(filter: { threadId: "${own.chat}", assistantId: "${assistant}" }) { totalCount }`,
    ],
  ];

  it.for(parts)(
    'answers %s as for an id of nothing',
    async ([, fields], { viewers, world, homes }) => {
      for (const name of STRANGERS) {
        const answer = async (target: World) =>
          withoutIds(await viewers[name].request(`{ ${fields(homes[name], target)} }`), target);
        const expected = await answer(missingWorld());
        expect(await answer(world), name).toEqual(expected);
      }
    },
  );
});

describe('a copy of a thread of the tenant', () => {
  it('leads no viewer to runs and threads that the viewer may not read', async ({
    viewers,
    server,
    world,
  }) => {
    const id = await viewers.admin.copyThread(world.asking);
    const { client } = await createViewer(server, { tenant: 'acme', owner: 'ada', role: 'member' });
    const read = `{ thread(id: "${id}") {
      lastRun { id }
      runs { totalCount }
      interrupts { threadId run { id } thread { id } }
      history { nodes { threadId thread { id } run { id } } }
    } }`;
    const { thread } = await client.gql(read);
    expect(thread).toMatchObject({ lastRun: null, runs: { totalCount: 0 } });
    expect(thread.history.nodes.length).toBeGreaterThan(0);
    for (const part of [...thread.history.nodes, ...thread.interrupts])
      expect(part).toEqual({ threadId: id, thread: { id }, run: null });
  });

  it('belongs to the viewer who made it', async ({ viewers, world }) => {
    const id = await viewers.admin.copyThread(world.chat);
    expect(await viewers.alice.findThread(id)).toBeNull();
    expect(await viewers.admin.getThread(id)).toMatchObject({ runs: { totalCount: 0 } });
  });
});

describe('a run of an admin on a thread of the tenant', () => {
  it('belongs to the owner of the thread', async ({ viewers }) => {
    const threadId = await viewers.alice.createThread();
    const run = await viewers.admin.runToEnd({ threadId, assistantId: 'echo', input: human('hi') });
    expect(await viewers.alice.findRun(run.id)).toMatchObject({ id: run.id });
    expect(await viewers.bob.findRun(run.id)).toBeNull();
  });
});

describe('an assistant with the id of a default assistant', () => {
  it('cannot be made before its graph exists: all tenants would run it', async ({ viewers }) => {
    // The UUID of version 5 for the graph "later".
    const input = { id: assistantIdOf('later'), graphId: 'echo', name: 'later' };
    const [error] = await viewers.admin.errors(CREATE_ASSISTANT, { input });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'input.id' });
  });
});

describe('createRuns with a thread of others', () => {
  // This test takes two database sessions.
  it.skipIf(inject('database') === 'embedded')(
    'waits for no lock on the thread or its runs',
    async ({ viewers, world, server }) => {
      const input = { threadId: world.chat, assistantId: 'tokens', input: human('hi') };
      await server.app.sql.transaction(async (query) => {
        await query(sql`SELECT FROM "Thread" WHERE "id" = ${world.chat} FOR UPDATE`);
        await query(sql`SELECT FROM "Run" WHERE "threadId" = ${world.chat} FOR UPDATE`);
        let answer: unknown;
        const refused = viewers.bob.errors(CREATE_RUNS, { input }).then((errors) => {
          answer = errors;
        });
        await until(async () => answer !== undefined || (await isWaitedFor(query)));
        expect(answer).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
        await refused;
      });
    },
  );
});
