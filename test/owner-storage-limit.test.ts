import { randomBytes } from 'node:crypto';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, randomId, until, type TestApp } from './support/app.ts';
import { CREATE_RUN, CREATE_THREAD } from './support/client.ts';
import { createViewer, it as base, type ViewerClient } from './support/viewers.ts';

base.override('settings', { auth: 'keys', ownerStorageLimit: 20_000 });

const UPDATE = `mutation ($id: ID!, $values: JSON!) { updateThreadState(id: $id, input: { values: $values }) { checkpointId } }`;
const COPY = `mutation ($id: ID!) { copyThread(id: $id) { id } }`;
const DELETE = `mutation ($id: ID!) { deleteThread(id: $id) }`;
const CREATE_RUNS = `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`;
const BYTES = `{ threads(first: 100) { nodes { storageBytes } } }`;

/** A message of 30,000 bytes, which no compression makes shorter than 15,000. */
const large = () => human(randomBytes(15_000).toString('hex'));
const small = { assistantId: 'echo', input: human('x'), afterSeconds: 1000 };
const superstep = (values: unknown) => ({
  graphId: 'echo',
  supersteps: [{ updates: [{ asNode: '__input__', values }] }],
});

/** Two owners and an admin of a new tenant, and an owner of another tenant with the name of the first one. */
async function createOwners(server: TestApp) {
  const tenant = randomId();
  const key = { tenant, owner: 'alice', role: 'member' } as const;
  const { client: alice } = await createViewer(server, key);
  const { client: bob } = await createViewer(server, { ...key, owner: 'bob' });
  const { client: admin } = await createViewer(server, { ...key, owner: 'ada', role: 'admin' });
  const { client: other } = await createViewer(server, { ...key, tenant: randomId() });
  return { tenant, alice, bob, admin, other };
}

const it = base.extend('owners', ({ server }) => createOwners(server));

/** The stored bytes of all threads that the client sees. */
async function bytesOf(client: ViewerClient): Promise<number> {
  const { threads } = await client.gql(BYTES);
  const nodes: { storageBytes: number }[] = threads.nodes;
  return nodes.reduce((sum, { storageBytes }) => sum + storageBytes, 0);
}

async function refusalFor(client: ViewerClient, argument?: string): Promise<object[]> {
  const bytes = await bytesOf(client);
  expect(bytes).toBeGreaterThan(20_000);
  const message = `The threads of the owner hold ${bytes} bytes; at most 20000 are allowed. OWNER_STORAGE_LIMIT sets the limit.`;
  return [{ message, extensions: { code: 'BAD_USER_INPUT', ...(argument && { argument }) } }];
}

/** Creates a thread with more bytes than the limit, and waits for its measurement. */
async function fill(client: ViewerClient): Promise<string> {
  const { threadId } = await client.runToEnd({
    assistantId: 'echo',
    input: large(),
    threadId: await client.createThread(),
  });
  await until(async () => (await client.request(CREATE_RUN, { input: small })).errors);
  return String(threadId);
}

/** The measured bytes of an owner. */
async function counted({ app }: TestApp, tenant: string, owner: string): Promise<number> {
  const [row] = await app.sql.query<{ bytes: number }>(
    sql`SELECT "bytes" FROM "OwnerStorage" WHERE "tenant" = ${tenant} AND "owner" = ${owner}`,
  );
  return row?.bytes ?? 0;
}

describe('OWNER_STORAGE_LIMIT', () => {
  it('refuses runs, supersteps, edits and copies of an owner with more bytes, and of no other owner', async ({
    owners: { alice, bob, other, admin },
  }) => {
    const threadId = await fill(alice);
    const refused = await refusalFor(alice, 'input');
    for (const input of [
      small,
      { ...small, threadId },
      { ...small, threadId: randomId(), ifThreadMissing: 'CREATE' },
      { ...small, threadId, multitaskStrategy: 'INTERRUPT' },
      { ...small, idempotencyKey: randomId() },
    ]) {
      expect(await alice.errors(CREATE_RUN, { input })).toMatchObject(refused);
    }
    const inputs = [small, { ...small, threadId }];
    expect(await alice.errors(CREATE_RUNS, { inputs })).toMatchObject([
      { ...refused[0], extensions: { argument: expect.stringMatching(/^inputs\[\d\]$/) } },
    ]);
    expect(await alice.errors(UPDATE, { id: threadId, values: human('x') })).toMatchObject(refused);
    expect(await alice.errors(COPY, { id: threadId })).toMatchObject(await refusalFor(alice));
    expect(await alice.errors(CREATE_THREAD, { input: superstep(human('x')) })).toMatchObject(
      await refusalFor(alice, 'input.supersteps'),
    );
    // A run of an admin adds to the bytes of the owner of the thread.
    expect(await admin.errors(CREATE_RUN, { input: { ...small, threadId } })).toMatchObject(
      refused,
    );
    await alice.createThread();
    for (const client of [bob, other, admin]) await client.startRun(small);
    await admin.copyThread(threadId);
  });

  it('counts supersteps, edits and copies at once', async ({ owners: { alice, bob, other } }) => {
    const createLarge = (client: ViewerClient) => client.createThread(superstep(large()));
    await createLarge(alice);
    expect(await alice.errors(CREATE_RUN, { input: small })).toMatchObject(
      await refusalFor(alice, 'input'),
    );

    const edited = await bob.createThread(superstep(human('x')));
    await bob.gql(UPDATE, { id: edited, values: large() });
    expect(await bob.errors(UPDATE, { id: edited, values: human('x') })).toMatchObject(
      await refusalFor(bob, 'input'),
    );

    const half = human(randomBytes(3000).toString('hex'));
    const copied = await other.createThread(superstep(half));
    await other.copyThread(copied);
    expect(await other.errors(COPY, { id: copied })).toMatchObject(await refusalFor(other));
  });

  it('gives the bytes of deleted threads back', async ({ owners: { alice } }) => {
    const id = await fill(alice);
    await alice.gql(DELETE, { id });
    await alice.startRun(small);
  });

  it('sums the bytes of runs at the same time', async ({ server, owners: { tenant, alice } }) => {
    const run = async (_: unknown, n: number) => {
      const threadId = await alice.createThread();
      await alice.runToEnd({ assistantId: 'echo', input: human(`${n}`), threadId });
      return threadId;
    };
    const ids = await Promise.all(Array.from({ length: 8 }, run));
    const isExact = async () =>
      (await counted(server, tenant, 'alice')) === (await bytesOf(alice)) || undefined;
    expect(await bytesOf(alice)).toBeGreaterThan(0);
    await until(isExact);
    await Promise.all(ids.slice(0, 5).map((id) => alice.gql(DELETE, { id })));
    await until(isExact);
    for (const id of ids.slice(5)) await alice.gql(DELETE, { id });
    expect(await counted(server, tenant, 'alice')).toBe(0);
  });

  it('measures nothing by default, and measures all threads when it is set', async ({
    startServer,
    ownDatabase,
  }) => {
    const input = { assistantId: 'echo', input: large() };
    const first = await startServer({}, ownDatabase);
    for (let n = 0; n < 2; n++) {
      const threadId = await first.client.createThread();
      await first.client.runToEnd({ ...input, threadId });
      await first.client.copyThread(threadId);
    }
    expect(await first.server.app.sql.query(sql`SELECT 1 FROM "ThreadStorage"`)).toEqual([]);
    await first.server.stop();

    const { client, server } = await startServer({ ownerStorageLimit: 20_000 }, ownDatabase);
    await until(async () => (await counted(server, 'default', '')) > 100_000);
    expect(await client.errors(CREATE_RUN, { input: small })).toMatchObject([
      { message: expect.stringContaining('OWNER_STORAGE_LIMIT') },
    ]);
  });
});
