import { describe, expect } from 'vitest';
import { eventId } from '../src/events/event.ts';
import { human, randomId, until, type Transport } from './support/app.ts';
import { createWorld, missingWorld, withoutIds, type World } from './support/foreign-world.ts';
import { rootFields } from './support/schema-paths.ts';
import { collect } from './support/streams.ts';
import { it as base, type ViewerClient, type ViewerName } from './support/viewers.ts';

// Each subscription names objects of alice, over a WebSocket and over SSE.

const STRANGERS = ['bob', 'carol', 'otherAdmin', 'otherReader'] as const satisfies ViewerName[];
const TRANSPORTS: Transport[] = ['websocket', 'sse'];

const it = base.extend('world', { scope: 'file' }, ({ viewers }) => createWorld(viewers.alice));

interface Subscription {
  name: string;
  document: string;
  variables: (world: World) => Record<string, unknown>;
}

const THREAD_EVENTS = `subscription ($threadId: ID!, $after: ID) {
  threadEvents(threadId: $threadId, after: $after) { id runId }
}`;
const RUN_EVENTS = `subscription ($runId: ID!, $after: ID) {
  runEvents(runId: $runId, after: $after) {
    id
    ... on RunStartedEvent { run { input thread { id } } }
    ... on RunFinishedEvent { run { output } }
  }
}`;
const STREAM_RUN = `subscription ($input: CreateRunInput!) { streamRun(input: $input) { id runId } }`;

/** Subscriptions to a single object: for others, it does not exist. */
const SINGLE: Subscription[] = [
  {
    name: 'threadEvents',
    document: THREAD_EVENTS,
    variables: ({ chat }) => ({ threadId: chat, after: eventId({ threadId: chat, number: 0 }) }),
  },
  { name: 'runEvents', document: RUN_EVENTS, variables: ({ chatRun }) => ({ runId: chatRun }) },
  {
    name: 'runEvents',
    document: RUN_EVENTS,
    variables: ({ chat, chatRun }) => ({
      runId: chatRun,
      after: eventId({ threadId: chat, number: 1 }),
    }),
  },
];

/** Subscriptions that create a run, or need no object. */
const streamRun = (world: World) => ({
  input: {
    threadId: world.chat,
    assistantId: 'tokens',
    input: human('hi'),
    idempotencyKey: randomId(),
  },
});

interface Outcome {
  data?: unknown;
  errors?: { message: string; extensions: Record<string, unknown> }[];
  /** The code of a closed WebSocket. */
  closed?: number;
  /** The HTTP status of a refused request. */
  status?: number;
}

/** The first answer of a subscription. */
async function firstOf(events: AsyncIterableIterator<unknown>): Promise<Outcome> {
  try {
    const { value: data } = await events.next();
    await events.return?.();
    return { data };
  } catch (error) {
    const { errors, response, code } = error as {
      errors?: Outcome['errors'];
      response?: Response;
      code?: number;
    };
    if (errors) return { errors };
    if (response) return { status: response.status };
    if (code !== undefined) return { closed: code };
    throw error;
  }
}

const first = async (
  client: ViewerClient,
  { document, variables }: Pick<Subscription, 'document' | 'variables'>,
  world: World,
  transport: Transport,
) => withoutIds(await firstOf(client.subscribe(document, variables(world), transport)), world);

const CHANGES = ['threadChanged', 'threadChanges'] as const;

it('has each subscription in the matrix', () => {
  const named = [...new Set(SINGLE.map(({ name }) => name)), 'streamRun', ...CHANGES];
  expect(named.toSorted()).toEqual(rootFields('Subscription').toSorted());
});

describe.for(TRANSPORTS)('over %s', (transport) => {
  it.for(SINGLE)(
    '$name has no events for viewers who may not read them',
    async (each, { viewers, world }) => {
      const own = await first(viewers.alice, each, world, transport);
      expect(own).toMatchObject({ data: { [each.name]: { id: expect.any(String) } } });
      for (const name of ['reader', 'admin'] satisfies ViewerName[])
        expect(await first(viewers[name], each, world, transport), name).toEqual(own);
      const nothing = missingWorld();
      for (const name of STRANGERS) {
        const expected = await first(viewers[name], each, nothing, transport);
        expect(expected).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
        expect(await first(viewers[name], each, world, transport), name).toEqual(expected);
      }
    },
  );

  it('streamRun creates no run on a thread of others', async ({ viewers, world }) => {
    const each = { document: STREAM_RUN, variables: streamRun };
    const count = async () => (await viewers.alice.getThread(world.chat)).runs.totalCount;
    const before = await count();
    for (const name of ['bob', 'carol', 'otherAdmin'] satisfies ViewerName[]) {
      const expected = await first(viewers[name], each, missingWorld(), transport);
      expect(expected).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
      expect(await first(viewers[name], each, world, transport), name).toEqual(expected);
    }
    for (const name of ['reader', 'otherReader'] satisfies ViewerName[]) {
      const refused = { errors: [{ extensions: { code: 'FORBIDDEN' } }] };
      expect(await first(viewers[name], each, world, transport), name).toMatchObject(refused);
      expect(await first(viewers[name], each, missingWorld(), transport), name).toMatchObject(
        refused,
      );
    }
    expect(await count()).toBe(before);
  });

  it('refuses clients without valid credentials', async ({ viewers, world }) => {
    const changes = CHANGES.map((field) => ({
      document: `subscription { ${field} { __typename } }`,
      variables: () => ({}),
    }));
    const all = [...SINGLE, { document: STREAM_RUN, variables: streamRun }, ...changes];
    for (const name of ['anonymous', 'expired'] satisfies ViewerName[]) {
      for (const each of all) {
        const expected = transport === 'sse' ? { status: 401 } : { closed: 4403 };
        expect(await first(viewers[name], each, world, transport), name).toEqual(expected);
      }
    }
  });

  const selections: [string, (ids: string[]) => string][] = [
    ['all threads', () => ''],
    ['ids', (ids) => `(ids: ${JSON.stringify(ids)})`],
    ['a filter', (ids) => `(filter: { ids: ${JSON.stringify(ids)} })`],
  ];

  it.for(CHANGES.flatMap((field) => selections.map((each) => [field, ...each] as const)))(
    '%s with %s sends only threads that the viewer may read',
    async ([field, , argsOf], { viewers, server }) => {
      const before = server.app.changes.watchers;
      const changed = await viewers.alice.createThread();
      const deleted = await viewers.alice.createThread();
      const selected = field === 'threadChanged' ? '{ id }' : CHANGE;
      const watch = async (name: Watching) => {
        const own = await viewers[name].createThread();
        const args = argsOf([changed, deleted, own]);
        const document = `subscription { ${field}${args} ${selected} }`;
        const { seen } = collect(viewers[name].subscribe(document, {}, transport));
        return { client: viewers[name], own, text: () => JSON.stringify(seen) };
      };
      const alice = await watch('alice');
      const strangers = [];
      for (const name of WATCHING) strangers.push(await watch(name));
      await until(() => server.app.changes.watchers === before + 1 + WATCHING.length);

      await touch(viewers.alice, changed);
      await viewers.alice.gql(`mutation { deleteThread(id: "${deleted}") }`);
      await until(() => alice.text().includes(changed));
      for (const { client, own, text } of strangers) {
        await touch(client, own);
        await until(() => text().includes(own));
        for (const id of [changed, deleted, alice.own]) expect(text()).not.toContain(id);
      }
    },
  );
});

const CHANGE = `{ ... on ThreadUpdated { thread { id } } ... on ThreadRemoved { threadId reason } }`;
const WATCHING = ['bob', 'carol', 'otherAdmin'] as const satisfies ViewerName[];
type Watching = (typeof WATCHING)[number] | 'alice';

const touch = ({ gql }: ViewerClient, id: string) =>
  gql(
    `mutation { updateThread(id: "${id}", input: { metadata: { touched: "${randomId()}" } }) { id } }`,
  );
