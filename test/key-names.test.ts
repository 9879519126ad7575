import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestApp, randomId, type TestApp } from './support/app.ts';

// Clients choose the names of keys in many places. The names of inherited properties of objects are valid names.

let server: TestApp;
beforeAll(async () => {
  server = await createTestApp();
});
afterAll(() => server.stop());

const NAMES = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', 'valueOf'];

/** Makes an object with a single key. In a literal, `__proto__` would set the prototype. */
function only(name: string, value: unknown): Record<string, unknown> {
  return Object.fromEntries([[name, value]]);
}

/** Returns the answer with placeholders for this name and all ids. The answers for two names must be equal. */
async function ask(name: string, document: string, variables: object): Promise<unknown> {
  const answer = JSON.stringify(await server.request(document, { ...variables }));
  const anonymous = answer
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID')
    .replaceAll(`"${name}"`, '"NAME"')
    .replaceAll(`\\"${name}\\"`, '\\"NAME\\"');
  return JSON.parse(anonymous);
}

const RUN = `mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) { status error { name message } output thread { values status state { next writes } } }
}`;
const CREATE_THREAD = `mutation ($input: CreateThreadInput) { createThread(input: $input) { values metadata state { next } } }`;
const CREATE_ASSISTANT = `mutation ($input: CreateAssistantInput!) {
  createAssistant(input: $input) { config context metadata }
}`;

const onNewThread = () => ({ threadId: randomId(), ifThreadMissing: 'CREATE' });

const run = (name: string, input: object) =>
  ask(name, RUN, { input: { ...onNewThread(), ...input } });

const createThread = (name: string, update: object) =>
  ask(name, CREATE_THREAD, { input: { graphId: 'steps', supersteps: [{ updates: [update] }] } });

async function onOldThread(name: string, act: (threadId: string) => Promise<unknown>) {
  const { threadId, ...creating } = onNewThread();
  await run(name, { ...creating, threadId, assistantId: 'steps', input: { log: ['a'] } });
  return act(threadId);
}

type Door = (name: string) => Promise<unknown>;

const UPDATES: Record<string, Door> = {
  'the update of a command on a new thread': (name) =>
    run(name, { assistantId: 'steps', command: { update: only(name, ['a']) } }),
  'the update of a command on an old thread': (name) =>
    onOldThread(name, (threadId) =>
      run(name, { threadId, assistantId: 'steps', command: { update: only(name, 1) } }),
    ),
  'the update of a command with a known key': (name) =>
    run(name, {
      assistantId: 'steps',
      command: { update: { ...only(name, null), log: ['a'] }, goto: [{ node: 'step9' }] },
    }),
  'the update of a command for messages in a delta channel': (name) =>
    run(name, { assistantId: 'delta', command: { update: only(name, []) } }),
  input: (name) => run(name, { assistantId: 'steps', input: only(name, 1) }),
  'the input of a node': (name) =>
    run(name, {
      assistantId: 'steps',
      command: { goto: [{ node: 'step9', input: only(name, 1) }] },
    }),
  'the values of updateThreadState': (name) =>
    onOldThread(name, (id) =>
      ask(
        name,
        `mutation ($id: ID!, $values: JSON) { updateThreadState(id: $id, input: { values: $values }) { values next } }`,
        { id, values: only(name, 1) },
      ),
    ),
  'the values of a superstep': (name) =>
    createThread(name, { asNode: '__input__', values: only(name, 1) }),
  'the update of the command of a superstep': (name) =>
    createThread(name, { asNode: 'step8', command: { update: only(name, 1) } }),
};

const SETTINGS: Record<string, Door> = {
  metadata: (name) => run(name, { assistantId: 'whoami', input: {}, metadata: only(name, 1) }),
  'config.metadata': (name) =>
    run(name, { assistantId: 'whoami', input: {}, config: { metadata: only(name, 1) } }),
  config: (name) => run(name, { assistantId: 'whoami', input: {}, config: only(name, 1) }),
  context: (name) => run(name, { assistantId: 'whoami', input: {}, context: only(name, 1) }),
  'the metadata of a thread': (name) =>
    ask(name, CREATE_THREAD, { input: { metadata: only(name, 1) } }),
  'the context and metadata of an assistant': (name) =>
    ask(name, CREATE_ASSISTANT, {
      input: { graphId: 'whoami', context: only(name, 1), metadata: only(name, { a: 1 }) },
    }),
};

const NODES: Record<string, Door> = {
  goto: (name) => run(name, { assistantId: 'steps', command: { goto: [{ node: name }] } }),
  'goto with input': (name) =>
    run(name, { assistantId: 'steps', command: { goto: [{ node: name, input: {} }] } }),
  asNode: (name) => createThread(name, { asNode: name, values: {} }),
  'goto of a superstep': (name) =>
    createThread(name, { asNode: 'step1', command: { goto: [{ node: name }] } }),
  interruptBefore: (name) =>
    run(name, { assistantId: 'steps', input: {}, interruptBefore: [name] }),
  assistantId: (name) => run(name, { assistantId: name, input: {} }),
};

describe.each(NAMES)('The key %s', (name) => {
  it.each(Object.entries(UPDATES))(
    'is ignored like any that is no channel of the graph, in %s',
    async (_door, open) => {
      const answer = await open(name);
      expect(answer).toEqual(await open('foo'));
      expect(answer).not.toHaveProperty('errors');
      expect(JSON.stringify(answer)).not.toContain('ERROR');
    },
  );

  it.each(Object.entries(SETTINGS))('is kept like any other, in %s', async (_door, open) => {
    const answer = await open(name);
    expect(answer).toEqual(await open('foo'));
    expect(answer).not.toHaveProperty('errors');
  });
});

const configurable: Door = (name) =>
  run(name, { assistantId: 'whoami', input: {}, config: { configurable: only(name, 1) } });

it.each(NAMES.filter((name) => !name.startsWith('__')))(
  'The key %s is kept like any other, in configurable',
  async (name) => {
    const answer = await configurable(name);
    expect(answer).toEqual(await configurable('foo'));
    expect(JSON.stringify(answer)).toContain('"NAME":1');
  },
);

it("The key __proto__ is refused in configurable, like all of LangGraph's own", async () => {
  for (const name of ['__proto__', '__pregel_send']) {
    const [error] = await server.errors(RUN, {
      input: { assistantId: 'whoami', config: { configurable: only(name, 1) } },
    });
    expect(error).toMatchObject({
      message: `configurable.${name} is reserved for the server.`,
      extensions: { code: 'BAD_USER_INPUT', argument: `input.config.configurable.${name}` },
    });
  }
});

describe.each(NAMES)('The name %s', (name) => {
  it.each(Object.entries(NODES))('is refused like any unknown one, in %s', async (_door, open) => {
    const answer = await open(name);
    expect(answer).toEqual(await open('foo'));
    expect(answer).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  });
});

it("A key of LangGraph's own is ignored in the update of a command, where it is no channel", async () => {
  for (const name of ['__interrupt__', '__resume__', '__error__', '__no_writes__', '__input__']) {
    const open = UPDATES['the update of a command on an old thread'] as Door;
    expect(await open(name)).toEqual(await open('foo'));
  }
});
