import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomId, startTestServer, type TestApp } from './support/app.ts';
import { createTestDatabase, type TestDatabase } from './support/databases.ts';
import { createDirectory, installCopies } from './support/own-copies.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

/** A graph with routers and reducers by class. It says the classes of the objects in its state. */
const BODY = `
  const is = (object, Class) => object instanceof Class && object.constructor === Class;
  const kindOf = (object) =>
    is(object, HumanMessage) ? 'human' : is(object, AIMessage) ? 'ai' : is(object, PromptTemplate) ? 'prompt' : 'none';
  const kindsOf = (messages) => messages.map(kindOf).join();
  const State = Annotation.Root({
    ...MessagesAnnotation.spec,
    said: Annotation({ reducer: (left, right) => left.concat(right), default: () => [] }),
    kept: Annotation({
      reducer: (left, right) => ({ message: right.message ?? left.message, before: kindOf(left.message) }),
      default: () => ({}),
    }),
    prompt: Annotation(),
  });
  const look = ({ messages, prompt }) => ({
    said: ['look: ' + kindsOf(messages) + ', ' + kindOf(prompt)],
    prompt: PromptTemplate.fromTemplate('Hello {name}'),
  });
  const route = ({ messages }) =>
    kindOf(messages.at(-1)) === 'human' ? [new Send('reply', { to: messages.at(-1) })] : 'lost';
  const reply = ({ to }) => {
    const text = interrupt('What shall I say?');
    const message = new AIMessage(text);
    return { messages: [message], kept: { message }, said: ['reply: ' + kindOf(to)] };
  };
  const graph = new StateGraph(State)
    .addNode('look', look)
    .addNode('reply', reply)
    .addNode('lost', () => ({ said: ['lost'] }))
    .addEdge(START, 'look')
    .addConditionalEdges('look', route, ['reply', 'lost'])
    .compile();`;

const IMPORTS = {
  '{ AIMessage, HumanMessage }': '@langchain/core/messages',
  '{ PromptTemplate }': '@langchain/core/prompts',
  '{ Annotation, MessagesAnnotation, START, Send, StateGraph, interrupt }': '@langchain/langgraph',
};
const headWith = (line: (names: string, from: string) => string) =>
  Object.entries(IMPORTS)
    .map(([names, from]) => line(names, from))
    .join('\n');
const ESM = `${headWith((names, from) => `import ${names} from '${from}';`)}${BODY}\nexport { graph };`;
const COMMONJS = `${headWith((names, from) => `const ${names} = require('${from}');`)}${BODY}\nexports.graph = graph;`;

const LANGGRAPH = ['@langchain/langgraph', '@langchain/langgraph-checkpoint'];
const MIXED = 'own LangChain beside a LangGraph of the server';
const PROJECTS = {
  'own packages': ['own/agent.mjs', ESM],
  'own packages, as CommonJS': ['own/agent.cjs', COMMONJS],
  [MIXED]: ['half/agent.mjs', ESM],
  'packages of the server, as CommonJS': ['none/agent.cjs', COMMONJS],
} as const;
const IDS = Object.keys(PROJECTS);

let project: Awaited<ReturnType<typeof createDirectory>>;
let database: TestDatabase;
let server: TestApp;

beforeAll(async () => {
  const files = Object.values(PROJECTS);
  const graphs = Object.entries(PROJECTS).map(([id, [file]]) => [id, `./${file}:graph`]);
  project = await createDirectory({
    ...Object.fromEntries(files),
    'langgraph.json': { graphs: Object.fromEntries(graphs) },
  });
  await installCopies(path.join(project.directory, 'own'), ['@langchain/core', ...LANGGRAPH]);
  await installCopies(path.join(project.directory, 'half'), ['@langchain/core']);
  await installCopies(path.join(project.directory, 'none'), []);
  database = await createTestDatabase();
  await start();
}, SEVERAL_STARTS_MS);

afterAll(async () => {
  await server.stop();
  await database.dispose();
  await project[Symbol.asyncDispose]();
});

async function start(): Promise<void> {
  const graphsFile = path.join(project.directory, 'langgraph.json');
  server = await startTestServer(database, { graphsFile });
}

const THREAD = `query ($id: ID!) { thread(id: $id) { status values state { next } } }`;
const RUN = `mutation ($input: CreateRunInput!) {
  createRun(wait: true, input: $input) { status error { message } thread { status values } }
}`;
const EDIT = `mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { next values }
}`;

async function run(input: Record<string, unknown>) {
  const { createRun } = await server.gql(RUN, { input: { ifThreadMissing: 'CREATE', ...input } });
  expect(createRun.error).toBeNull();
  return createRun.thread;
}

const say = (text: string) => ({ messages: [{ role: 'user', content: text }] });
const answer = (text: string) => ({ command: { resume: [{ value: text }] } });

describe.each(IDS.filter((id) => id !== MIXED))('A graph of a project with %s', (assistantId) => {
  it(
    'sees its own classes in all that was stored, in its runs and edits, also after a restart',
    { timeout: SEVERAL_STARTS_MS },
    async () => {
      const threadId = randomId();
      await run({ assistantId, threadId, input: say('hello') });
      await server.stop();
      await start();

      // The argument of the Send comes from the database.
      const first = await run({ assistantId, threadId, ...answer('Good day!') });
      expect(first.values.said).toEqual(['look: human, none', 'reply: human']);
      const asked = await run({ assistantId, threadId, input: say('and you?') });
      expect(asked).toMatchObject({ status: 'INTERRUPTED', values: { kept: { before: 'none' } } });
      const second = await run({ assistantId, threadId, ...answer('Fine.') });
      expect(second.values.said.slice(2)).toEqual(['look: human,ai,human, prompt', 'reply: human']);
      expect(second.values.kept.before).toBe('ai');

      // An edit calls reducers and routers.
      const values = { ...say('still there?'), kept: {} };
      const edit = { values, asNode: 'look' };
      const { updateThreadState: edited } = await server.gql(EDIT, { id: threadId, input: edit });
      expect(edited).toMatchObject({ next: ['reply'], values: { kept: { before: 'ai' } } });
      expect((await server.gql(THREAD, { id: threadId })).thread.state.next).toEqual(['reply']);
    },
  );

  it('can be sent to a node with an input of its own, by a run and by a superstep', async () => {
    const goto = [{ node: 'reply', input: { to: 'me' } }];
    const threadId = randomId();
    await run({ assistantId, threadId, command: { goto } });
    const sent = await run({ assistantId, threadId, ...answer('Here I am.') });
    expect(sent.values.said).toContain('reply: none');

    const { createThread } = await server.gql(
      `mutation ($input: CreateThreadInput) { createThread(input: $input) { state { next } } }`,
      {
        input: {
          graphId: assistantId,
          supersteps: [
            { updates: [{ values: say('hello'), asNode: '__input__' }] },
            { updates: [{ command: { goto }, asNode: 'lost' }] },
          ],
        },
      },
    );
    expect(createThread.state.next).toEqual(['reply']);
  });
});

describe(`A graph of a project with ${MIXED}`, () => {
  it('sees the classes that its file imports in what was stored; LangGraph makes messages of what it is given', async () => {
    const threadId = randomId();
    const goto = [{ node: 'reply', input: {} }];
    await run({ assistantId: MIXED, threadId, command: { goto } });
    await run({ assistantId: MIXED, threadId, ...answer('Good day!') });
    await run({ assistantId: MIXED, threadId, input: say('hello') });
    const { values } = await run({ assistantId: MIXED, threadId, input: say('and you?') });
    expect(values.said).toEqual([
      'reply: none',
      'look: ai,none, none',
      'lost',
      'look: ai,human,none, prompt',
      'lost',
    ]);
  });
});
