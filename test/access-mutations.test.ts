import { isLeafType } from 'graphql';
import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import { createWorld, missingWorld, withoutIds, type World } from './support/foreign-world.ts';
import { argumentsOf, Enum, rootFields, typeOfField } from './support/schema-paths.ts';
import { it as base, type ViewerClient, type ViewerName } from './support/viewers.ts';

// Each mutation names objects of alice. For a viewer who may not change them, the answer equals the answer for ids of nothing,
// and the objects remain as they are.

const STRANGERS = ['bob', 'carol', 'otherAdmin'] as const;

/** The strangers with objects of their own. */
const it = base.extend('homes', { scope: 'file' }, async ({ viewers }) => {
  const homes = {} as Record<(typeof STRANGERS)[number], World>;
  for (const name of STRANGERS) homes[name] = await createWorld(viewers[name]);
  return homes;
});

interface Call {
  /** The objects of `target` may be foreign; those of `own` belong to the viewer. */
  args: (target: World, own: World) => object;
  /** Members of the tenant may do it as well. */
  audience?: 'tenant';
  /** The code of the error for the owner, whose objects exist but cannot take part now. */
  refusal?: string;
}

const call = (args: Call['args']): Call => ({ args });
const run = (input: (target: World, own: World) => object): Call =>
  call((target, own) => ({
    input: { assistantId: 'tokens', input: human('hi'), ...input(target, own) },
    wait: true,
  }));

const answer = (threadId: string, interruptId: string) => ({
  input: {
    threadId,
    assistantId: 'nestedAsk',
    command: { resume: [{ interruptId, value: 'yes' }] },
  },
});

/** Calls that name objects. The owner can make them in this order. */
const CALLS: Record<string, Call[]> = {
  createRun: [
    run(({ chat }) => ({ threadId: chat })),
    run(({ chat }) => ({ threadId: chat, multitaskStrategy: new Enum('ROLLBACK') })),
    run(({ chat, chatCheckpoint }) => ({ threadId: chat, checkpointId: chatCheckpoint })),
    run(({ chat, message }) => ({ threadId: chat, editMessageId: message })),
    run(({ oldCheckpoint }, { chat }) => ({ threadId: chat, checkpointId: oldCheckpoint })),
    run(({ message }, { chat }) => ({ threadId: chat, editMessageId: message })),
    {
      args: ({ assistant }) => ({ input: { assistantId: assistant, input: human('hi') } }),
      audience: 'tenant',
    },
    call(({ asking, interrupt }) => answer(asking, interrupt)),
  ],
  createRuns: [
    call(({ chat }) => ({
      inputs: [{ threadId: chat, assistantId: 'tokens', input: human('hi') }],
    })),
    call(({ chat }, own) => ({
      inputs: [own.chat, chat].map((threadId) => ({
        threadId,
        assistantId: 'tokens',
        input: human('hi'),
      })),
    })),
    call(({ asking, askingCheckpoint: checkpointId, interrupt }) => ({
      inputs: [{ ...answer(asking, interrupt).input, checkpointId }],
    })),
  ],
  cancelRun: [call(({ laterRun }) => ({ id: laterRun }))],
  cancelRuns: [
    call(({ chat }) => ({ filter: { threadId: chat } })),
    call(({ laterRun }) => ({ filter: { ids: [laterRun] } })),
    call(({ mark }) => ({ filter: { metadata: { mark } } })),
    call(({ assistant }) => ({ filter: { assistantId: assistant } })),
  ],
  copyThread: [
    call(({ chat }) => ({ id: chat })),
    call(({ chat, chatCheckpoint }) => ({ id: chat, checkpointId: chatCheckpoint })),
    call(({ oldCheckpoint }, { chat }) => ({ id: chat, checkpointId: oldCheckpoint })),
    call(({ chat }, { oldCheckpoint }) => ({ id: chat, checkpointId: oldCheckpoint })),
  ],
  updateThread: [call(({ chat }) => ({ id: chat, input: { metadata: { seen: true } } }))],
  updateThreads: [
    call(({ chat }) => ({ selection: { ids: [chat] }, input: { metadata: { seen: true } } })),
    call(({ mark }) => ({
      selection: { filter: { metadata: { mark } } },
      input: { metadata: { seen: true } },
    })),
  ],
  updateThreadState: [
    call(({ chat }) => ({ id: chat, input: { values: human('edited') } })),
    call(({ chat, oldCheckpoint }) => ({
      id: chat,
      input: { values: human('edited'), checkpointId: oldCheckpoint },
    })),
    call(({ oldCheckpoint }, { chat }) => ({
      id: chat,
      input: { values: human('edited'), checkpointId: oldCheckpoint },
    })),
    call(({ chat }, { oldCheckpoint }) => ({
      id: chat,
      input: { values: human('edited'), checkpointId: oldCheckpoint },
    })),
  ],
  updateAssistant: [call(({ assistant }) => ({ id: assistant, input: { name: 'Renamed' } }))],
  setAssistantVersion: [call(({ assistant }) => ({ id: assistant, version: 1 }))],
  deleteAssistant: [call(({ assistant }) => ({ id: assistant }))],
  deleteRun: [call(({ chatRun }) => ({ id: chatRun }))],
  deleteThread: [call(({ chat }) => ({ id: chat })), call(({ asking }) => ({ id: asking }))],
  deleteThreads: [
    call(({ chat }) => ({ selection: { ids: [chat] } })),
    call(({ mark }) => ({ selection: { filter: { metadata: { mark } } } })),
  ],
  pruneThreads: [
    // A run of the chat starts in an hour, and the newest thread waits for an answer.
    { ...call(({ chat }) => ({ selection: { ids: [chat] } })), refusal: 'THREAD_BUSY' },
    {
      ...call(({ mark }) => ({ selection: { filter: { metadata: { mark } } } })),
      refusal: 'CONFLICT',
    },
  ],
};

/** Mutations for admins. */
const FOR_ADMINS: Record<string, object> = {
  createApiKey: { input: { name: 'one', owner: 'alice', roles: [new Enum('READER')] } },
  revokeApiKey: { id: randomId() },
};

/** Mutations that name no object of a viewer; access-inputs.test.ts gives them ids in use. */
const CREATES: Record<string, object> = {
  createThread: {},
  createAssistant: { input: { graphId: 'echo' } },
};

function documentOf(field: string, args: object): string {
  const selection = isLeafType(typeOfField('Mutation', field)) ? '' : '{ __typename }';
  return `mutation { ${field}${argumentsOf(args)} ${selection} }`;
}

const send = (client: ViewerClient, field: string, args: object) =>
  client.request(documentOf(field, args));

/** All that the mutations could change. */
async function snapshotOf({ gql }: ViewerClient, world: World): Promise<unknown> {
  const thread = `{ metadata status updatedAt values runs { nodes { id status } } interrupts { id } history { nodes { checkpointId } } }`;
  const mine = JSON.stringify(world.mark);
  return gql(`{
    chat: thread(id: "${world.chat}") ${thread}
    asking: thread(id: "${world.asking}") ${thread}
    assistant(id: "${world.assistant}") { name version versions { nodes { version } } }
    threads(filter: { metadata: { mark: ${mine} } }) { totalCount }
    runs(filter: { metadata: { mark: ${mine} } }) { totalCount }
  }`);
}

it('has each mutation in the matrix', () => {
  const named = [CALLS, CREATES, FOR_ADMINS].flatMap(Object.keys);
  expect(named.toSorted()).toEqual(rootFields('Mutation').toSorted());
});

describe.for(Object.entries(CALLS))('%s', ([field, calls]) => {
  it('finds no object of others, and leaves them as they are', async ({ viewers, homes }) => {
    const world = await createWorld(viewers.alice);
    const before = await snapshotOf(viewers.alice, world);
    for (const [i, { args, audience }] of calls.entries()) {
      for (const name of STRANGERS) {
        if (audience === 'tenant' && name === 'bob') continue;
        const answerFor = async (target: World) =>
          withoutIds(await send(viewers[name], field, args(target, homes[name])), target);
        const expected = await answerFor(missingWorld());
        expect(await answerFor(world), `${name}, call ${i}`).toEqual(expected);
      }
    }
    expect(await snapshotOf(viewers.alice, world)).toEqual(before);
    for (const { args, refusal } of calls) {
      const { errors = [] } = await send(viewers.alice, field, args(world, world));
      const codes = errors.map(({ extensions }) => extensions['code']);
      expect(codes).toEqual(refusal === undefined ? [] : [refusal]);
    }
  });
});

describe.for(Object.entries({ ...CALLS, ...CREATES, ...FOR_ADMINS }))('%s', ([field, calls]) => {
  const argsOf = (world: World) =>
    Array.isArray(calls) ? calls.map(({ args }: Call) => args(world, world)) : [calls];
  const codes = async (client: ViewerClient, args: object) =>
    (await send(client, field, args)).errors?.map(({ extensions }) => extensions['code']);

  it('is FORBIDDEN for readers', async ({ viewers, homes }) => {
    for (const name of ['reader', 'otherReader'] satisfies ViewerName[]) {
      for (const world of [homes.bob, missingWorld()])
        for (const args of argsOf(world)) {
          expect(await codes(viewers[name], args), `${name} ${JSON.stringify(args)}`).toEqual([
            'FORBIDDEN',
          ]);
        }
    }
  });

  it('refuses clients without valid credentials', async ({ viewers, homes }) => {
    for (const name of ['anonymous', 'expired'] satisfies ViewerName[]) {
      for (const args of argsOf(homes.bob)) {
        expect(await codes(viewers[name], args), name).toEqual(['UNAUTHENTICATED']);
      }
    }
  });
});

describe('API keys', () => {
  const KEYS = `{ apiKeys(first: 100) { nodes { id owner revokedAt } } }`;

  it('are those of the tenant of the admin', async ({ viewers }) => {
    const { apiKeys: own } = await viewers.admin.gql(KEYS);
    const { apiKeys: others } = await viewers.otherAdmin.gql(KEYS);
    const owners = (keys: { nodes: { owner: string }[] }) => keys.nodes.map(({ owner }) => owner);
    expect(owners(own).toSorted()).toEqual(['ada', 'alice', 'alice', 'alice', 'bob', 'rita']);
    expect(owners(others).toSorted()).toEqual(['alice', 'otto']);
  });

  it('of another tenant are not found, and stay valid', async ({ viewers }) => {
    const { apiKeys } = await viewers.admin.gql(KEYS);
    for (const { id } of apiKeys.nodes) {
      const answerFor = async (keyId: string) =>
        withoutIds(await send(viewers.otherAdmin, 'revokeApiKey', { id: keyId }), {
          id: keyId,
        } as never);
      const expected = await answerFor(randomId());
      expect(expected).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
      expect(await answerFor(id)).toEqual(expected);
    }
    expect((await viewers.admin.gql(KEYS)).apiKeys).toEqual(apiKeys);
  });

  it.for(['alice', 'bob', 'reader'] satisfies ViewerName[])(
    'are FORBIDDEN for %s',
    async (name, { viewers }) => {
      const forbidden = [{ extensions: { code: 'FORBIDDEN' } }];
      expect(await viewers[name].errors(KEYS)).toMatchObject(forbidden);
      for (const [field, args] of Object.entries(FOR_ADMINS))
        expect((await send(viewers[name], field, args)).errors).toMatchObject(forbidden);
    },
  );
});
