import { describe, expect } from 'vitest';
import { randomId, type Document } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';

// Clients choose the names of keys in many places. The names of inherited properties of objects are valid names.

const NAMES = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', 'valueOf'];

/** A name in a request, and the client of the request. */
interface Asked {
  client: Client;
  name: string;
}

/** Makes an object with a single key. In a literal, `__proto__` would set the prototype. */
function only(name: string, value: unknown): Record<string, unknown> {
  return Object.fromEntries([[name, value]]);
}

/** Returns the answer with placeholders for this name and all ids. The answers for two names must be equal. */
async function ask(
  { client, name }: Asked,
  document: Document,
  variables: object,
): Promise<unknown> {
  const answer = JSON.stringify(await client.request(document, { ...variables }));
  const anonymous = answer
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID')
    .replaceAll(`"${name}"`, '"NAME"')
    .replaceAll(`\\"${name}\\"`, '\\"NAME\\"');
  return JSON.parse(anonymous);
}

const RUN = operation(`mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) { status error { name message } output thread { values status state { next writes } } }
}`);
const CREATE_THREAD = operation(
  `mutation ($input: CreateThreadInput) { createThread(input: $input) { values metadata state { next } } }`,
);
const CREATE_ASSISTANT = operation(`mutation ($input: CreateAssistantInput!) {
  createAssistant(input: $input) { config context metadata }
}`);
const UPDATE_STATE = operation(
  `mutation ($id: ID!, $values: JSON) { updateThreadState(id: $id, input: { values: $values }) { values next } }`,
);

const onNewThread = () => ({ threadId: randomId(), ifThreadMissing: 'CREATE' });

const run = (asked: Asked, input: object) =>
  ask(asked, RUN, { input: { ...onNewThread(), ...input } });

const createThread = (asked: Asked, update: object) =>
  ask(asked, CREATE_THREAD, { input: { graphId: 'steps', supersteps: [{ updates: [update] }] } });

async function onOldThread(asked: Asked, act: (threadId: string) => Promise<unknown>) {
  const { threadId, ...creating } = onNewThread();
  await run(asked, { ...creating, threadId, assistantId: 'steps', input: { log: ['a'] } });
  return act(threadId);
}

type Door = (asked: Asked) => Promise<unknown>;

const UPDATES: Record<string, Door> = {
  'the update of a command on a new thread': (asked) =>
    run(asked, { assistantId: 'steps', command: { update: only(asked.name, ['a']) } }),
  'the update of a command on an old thread': (asked) =>
    onOldThread(asked, (threadId) =>
      run(asked, { threadId, assistantId: 'steps', command: { update: only(asked.name, 1) } }),
    ),
  'the update of a command with a known key': (asked) =>
    run(asked, {
      assistantId: 'steps',
      command: { update: { ...only(asked.name, null), log: ['a'] }, goto: [{ node: 'step9' }] },
    }),
  'the update of a command for messages in a delta channel': (asked) =>
    run(asked, { assistantId: 'delta', command: { update: only(asked.name, []) } }),
  input: (asked) => run(asked, { assistantId: 'steps', input: only(asked.name, 1) }),
  'the input of a node': (asked) =>
    run(asked, {
      assistantId: 'steps',
      command: { goto: [{ node: 'step9', input: only(asked.name, 1) }] },
    }),
  'the values of updateThreadState': (asked) =>
    onOldThread(asked, (id) => ask(asked, UPDATE_STATE, { id, values: only(asked.name, 1) })),
  'the values of a superstep': (asked) =>
    createThread(asked, { asNode: '__input__', values: only(asked.name, 1) }),
  'the update of the command of a superstep': (asked) =>
    createThread(asked, { asNode: 'step8', command: { update: only(asked.name, 1) } }),
};

const SETTINGS: Record<string, Door> = {
  metadata: (asked) =>
    run(asked, { assistantId: 'whoami', input: {}, metadata: only(asked.name, 1) }),
  'config.metadata': (asked) =>
    run(asked, { assistantId: 'whoami', input: {}, config: { metadata: only(asked.name, 1) } }),
  config: (asked) => run(asked, { assistantId: 'whoami', input: {}, config: only(asked.name, 1) }),
  context: (asked) =>
    run(asked, { assistantId: 'whoami', input: {}, context: only(asked.name, 1) }),
  'the metadata of a thread': (asked) =>
    ask(asked, CREATE_THREAD, { input: { metadata: only(asked.name, 1) } }),
  'the context and metadata of an assistant': (asked) =>
    ask(asked, CREATE_ASSISTANT, {
      input: {
        graphId: 'whoami',
        context: only(asked.name, 1),
        metadata: only(asked.name, { a: 1 }),
      },
    }),
};

const NODES: Record<string, Door> = {
  goto: (asked) => run(asked, { assistantId: 'steps', command: { goto: [{ node: asked.name }] } }),
  'goto with input': (asked) =>
    run(asked, { assistantId: 'steps', command: { goto: [{ node: asked.name, input: {} }] } }),
  asNode: (asked) => createThread(asked, { asNode: asked.name, values: {} }),
  'goto of a superstep': (asked) =>
    createThread(asked, { asNode: 'step1', command: { goto: [{ node: asked.name }] } }),
  interruptBefore: (asked) =>
    run(asked, { assistantId: 'steps', input: {}, interruptBefore: [asked.name] }),
  assistantId: (asked) => run(asked, { assistantId: asked.name, input: {} }),
};

describe.each(NAMES)('The key %s', (name) => {
  it.for(Object.entries(UPDATES))(
    'is ignored like any that is no channel of the graph, in %s',
    async ([, open], { client }) => {
      const answer = await open({ client, name });
      expect(answer).toEqual(await open({ client, name: 'foo' }));
      expect(answer).not.toHaveProperty('errors');
      expect(JSON.stringify(answer)).not.toContain('ERROR');
    },
  );

  it.for(Object.entries(SETTINGS))(
    'is kept like any other, in %s',
    async ([, open], { client }) => {
      const answer = await open({ client, name });
      expect(answer).toEqual(await open({ client, name: 'foo' }));
      expect(answer).not.toHaveProperty('errors');
    },
  );
});

const configurable: Door = (asked) =>
  run(asked, { assistantId: 'whoami', input: {}, config: { configurable: only(asked.name, 1) } });

it.for(NAMES.filter((name) => !name.startsWith('__')))(
  'The key %s is kept like any other, in configurable',
  async (name, { client }) => {
    const answer = await configurable({ client, name });
    expect(answer).toEqual(await configurable({ client, name: 'foo' }));
    expect(JSON.stringify(answer)).toContain('"NAME":1');
  },
);

it("The key __proto__ is refused in configurable, like all of LangGraph's own", async ({
  client,
}) => {
  for (const name of ['__proto__', '__pregel_send']) {
    const [error] = await client.errors(RUN, {
      input: { assistantId: 'whoami', config: { configurable: only(name, 1) } },
    });
    expect(error).toMatchObject({
      message: `configurable.${name} is reserved for the server.`,
      extensions: { code: 'BAD_USER_INPUT', argument: `input.config.configurable.${name}` },
    });
  }
});

describe.each(NAMES)('The name %s', (name) => {
  it.for(Object.entries(NODES))(
    'is refused like any unknown one, in %s',
    async ([, open], { client }) => {
      const answer = await open({ client, name });
      expect(answer).toEqual(await open({ client, name: 'foo' }));
      expect(answer).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
    },
  );
});

it("A key of LangGraph's own is ignored in the update of a command, where it is no channel", async ({
  client,
}) => {
  for (const name of ['__interrupt__', '__resume__', '__error__', '__no_writes__', '__input__']) {
    const open = UPDATES['the update of a command on an old thread'] as Door;
    expect(await open({ client, name })).toEqual(await open({ client, name: 'foo' }));
  }
});
