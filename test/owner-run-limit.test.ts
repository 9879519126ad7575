import { describe, expect, inject } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, randomId, type TestApp } from './support/app.ts';
import { CREATE_RUN, CREATE_THREAD } from './support/client.ts';
import { createGate } from './support/gates.ts';
import { createViewer, it as base } from './support/viewers.ts';

base.override('settings', { auth: 'keys', ownerRunLimit: 2 });

const later = (input: object = {}) => ({
  assistantId: 'echo',
  input: human('x'),
  afterSeconds: 1000,
  ...input,
});

const full = (argument = 'input') => [
  {
    message:
      'The owner has 2 pending and running runs; no more are accepted. OWNER_RUN_LIMIT sets the limit.',
    extensions: { code: 'BAD_USER_INPUT', argument },
  },
];

/** Two owners and an admin of a new tenant, and an owner of another tenant with the name of the first one. */
async function createOwners(server: TestApp) {
  const tenant = randomId();
  const key = { tenant, owner: 'alice', role: 'member' } as const;
  const { client: alice } = await createViewer(server, key);
  const { client: bob } = await createViewer(server, { ...key, owner: 'bob' });
  const { client: admin } = await createViewer(server, { ...key, owner: 'ada', role: 'admin' });
  const { client: other } = await createViewer(server, { ...key, tenant: randomId() });
  return { alice, bob, admin, other };
}

const it = base.extend('owners', ({ server }) => createOwners(server));

describe('OWNER_RUN_LIMIT', () => {
  it('refuses one more run of the owner, and of no other owner', async ({
    owners: { alice, bob, other },
  }) => {
    const threadId = await alice.createThread();
    for (const input of [later(), later({ threadId })]) await alice.startRun(input);
    for (const input of [
      later(),
      later({ threadId }),
      later({ threadId: randomId(), ifThreadMissing: 'CREATE' }),
      later({ threadId, multitaskStrategy: 'INTERRUPT' }),
      later({ idempotencyKey: randomId() }),
    ]) {
      expect(await alice.errors(CREATE_RUN, { input })).toMatchObject(full());
    }
    for (const client of [bob, other]) await client.startRun(later());
    expect(await alice.gql('{ runs { totalCount } threads { totalCount } }')).toEqual({
      runs: { totalCount: 2 },
      threads: { totalCount: 2 },
    });
  });

  it('counts running runs, and no ended ones', async ({ owners: { alice } }) => {
    const gate = createGate();
    const held = await alice.startRun({ assistantId: 'gate', input: { file: gate.file } });
    await alice.untilRunning(held.id);
    const { id } = await alice.startRun(later());
    expect(await alice.errors(CREATE_RUN, { input: later() })).toMatchObject(full());
    await alice.cancelRun(id);
    await alice.startRun(later());
    expect(await alice.errors(CREATE_RUN, { input: later() })).toMatchObject(full());
    await gate.open();
    await alice.untilEnded(held.id);
    await alice.startRun(later());
  });

  it('accepts all of several runs or none', async ({ owners: { alice } }) => {
    const document = `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`;
    const several = (count: number) => ({ inputs: Array.from({ length: count }, () => later()) });
    expect(await alice.errors(document, several(3))).toMatchObject(full('inputs[2]'));
    await alice.gql(document, several(2));
  });

  it.for([2, 60])(
    'accepts exactly as many runs of many requests at once: %i',
    async (ownerRunLimit, { startServer }) => {
      const { server } = await startServer({ auth: 'keys', ownerRunLimit });
      const { alice, bob } = await createOwners(server);
      const threadId = await alice.createThread();
      const inputs = [later(), later({ threadId }), later({ idempotencyKey: 'once' })];
      const send = (_: unknown, n: number) =>
        alice.request(CREATE_RUN, { input: inputs[n % 10] ?? later() });
      const requests = Array.from({ length: 2 * ownerRunLimit + 20 }, send);
      const others = Array.from({ length: 2 }, () => bob.startRun(later()));
      const answers = await Promise.all(requests);
      await Promise.all(others);
      const limit = full().map((error) => ({
        ...error,
        message: error.message.replace('2', String(ownerRunLimit)),
      }));
      for (const { errors } of answers) if (errors) expect(errors).toMatchObject(limit);
      expect(await alice.gql('{ runs { totalCount } }')).toEqual({
        runs: { totalCount: ownerRunLimit },
      });
    },
  );

  it('gives the same refusal while runs of the owner end', async ({ owners: { alice } }) => {
    const threadId = await alice.createThread();
    const send = (_: unknown, n: number) =>
      alice.request(CREATE_RUN, {
        input: { assistantId: 'echo', input: human('x'), ...(n % 2 === 0 && { threadId }) },
      });
    const answers = await Promise.all(Array.from({ length: 100 }, send));
    expect(answers.filter(({ errors }) => !errors).length).toBeGreaterThanOrEqual(2);
    for (const { errors } of answers) if (errors) expect(errors).toMatchObject(full());
  });

  it('returns the run of a repeated request', async ({ owners: { alice } }) => {
    const input = later({ idempotencyKey: randomId() });
    const { id } = await alice.startRun(input);
    await alice.startRun(later());
    expect((await alice.startRun(input)).id).toBe(id);
  });

  it('counts a run of an admin for the owner of the thread', async ({
    owners: { alice, admin },
  }) => {
    const threadId = await alice.createThread();
    for (let n = 0; n < 2; n++) await admin.startRun(later({ threadId }));
    for (const ifThreadMissing of ['REJECT', 'CREATE'] as const) {
      const input = later({ threadId, ifThreadMissing });
      expect(await admin.errors(CREATE_RUN, { input })).toMatchObject(full());
    }
    expect(await alice.errors(CREATE_RUN, { input: later() })).toMatchObject(full());
    await admin.startRun(later());
  });

  it('gives the same answer for a missing thread and for a thread of another owner', async ({
    owners: { alice, bob },
  }) => {
    const threadId = await bob.createThread();
    const refusal = async (id: string) =>
      JSON.stringify(await alice.errors(CREATE_RUN, { input: later({ threadId: id }) }));
    for (let n = 0; n < 2; n++) {
      await alice.startRun(later());
      await bob.startRun(later());
    }
    const missing = randomId();
    const answer = await refusal(missing);
    expect(answer).toContain('NOT_FOUND');
    expect((await refusal(threadId)).replaceAll(threadId, missing)).toBe(answer);
  });

  it.skipIf(inject('database') === 'embedded')(
    'waits for no request of the owner of a foreign thread',
    async ({ server: { app }, owners: { alice, bob } }) => {
      const threadId = await bob.createThread();
      const { viewer } = await bob.gql('{ viewer { tenant identity } }');
      const bobsLock = JSON.stringify([viewer.tenant, viewer.identity]);
      await app.sql.transaction(async (query) => {
        await query(sql`SELECT pg_advisory_xact_lock(hashtextextended(${bobsLock}, 2))`);
        // It has its answer while bob's lock is held.
        const input = later({ threadId, multitaskStrategy: 'INTERRUPT' });
        expect(await alice.errors(CREATE_RUN, { input })).toMatchObject([
          { extensions: { code: 'NOT_FOUND' } },
        ]);
      });
    },
  );

  it('is off by default', async ({ startServer }) => {
    const { client } = await startServer();
    const { createThread } = await client.gql(CREATE_THREAD);
    for (let n = 0; n < 5; n++) await client.startRun(later({ threadId: createThread.id }));
  });
});
