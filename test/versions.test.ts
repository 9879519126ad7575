import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { TestApp } from './support/app.ts';
import { createTestDatabase } from './support/databases.ts';
import { startServerProcess } from './support/processes.ts';
import { createProject } from './support/projects.ts';

const run = promisify(execFile);

/** `all`, or a list of versions with commas. This test downloads packages, so it runs only on request. */
const wanted = process.env['LANGGRAPH_VERSIONS'];
const versions = wanted ? await listVersions(wanted) : ['each minor'];
const INSTALL_AND_START_MS = 600_000;

/** `all` is the lowest and the newest version of each minor from 0.4 on. */
async function listVersions(list: string): Promise<string[]> {
  if (list !== 'all') return list.split(',');
  const { stdout } = await run('npm', ['view', '@langchain/langgraph', 'versions', '--json']);
  const released = (JSON.parse(stdout) as string[]).filter((version) => !version.includes('-'));
  const minorOf = (version: string) => version.split('.', 2).join('.');
  const minors = new Set(released.toSorted(byNumbers).map(minorOf));
  return [...minors]
    .filter((minor) => byNumbers(minor, '0.4') >= 0)
    .flatMap((minor) => {
      const all = released.filter((version) => minorOf(version) === minor).toSorted(byNumbers);
      return [...new Set([...all.slice(0, 1), ...all.slice(-1)])];
    });
}

function byNumbers(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true });
}

/** Messages, a fan-out by Send, a question, and a node that needs its answer. */
const GRAPH = `
  import { AIMessage } from '@langchain/core/messages';
  import { Annotation, END, MessagesAnnotation, START, Send, StateGraph, interrupt } from '@langchain/langgraph';
  const State = Annotation.Root({
    ...MessagesAnnotation.spec,
    log: Annotation({ reducer: (a, b) => a.concat(b), default: () => [] }),
    answer: Annotation(),
  });
  export const graph = new StateGraph(State)
    .addNode('plan', ({ messages }) => ({ log: ['plan ' + messages.at(-1).content] }))
    .addNode('work', ({ part }) => ({ log: ['work ' + part] }))
    .addNode('ask', () => ({ answer: interrupt({ question: 'go on?' }) }))
    .addNode('say', ({ answer }) => ({ messages: [new AIMessage('You said ' + answer.word)], log: ['say'] }))
    .addEdge(START, 'plan')
    .addConditionalEdges('plan', () => [new Send('work', { part: 1 }), new Send('work', { part: 2 })])
    .addEdge('work', 'ask')
    .addEdge('ask', 'say')
    .addEdge('say', END)
    .compile();`;

async function installProject(version: string, graph = GRAPH) {
  const project = await createProject(
    {
      'package.json': { type: 'module', private: true },
      'graph.js': graph,
      'langgraph.json': { graphs: { agent: './graph.js:graph' } },
    },
    { modules: 'own' },
  );
  const options = ['--no-audit', '--no-fund', '--ignore-scripts'];
  const packages = `@langchain/langgraph@${version}`;
  await run('npm', ['install', ...options, packages], { cwd: project.directory });
  return project;
}

const RUN = `mutation ($input: CreateRunInput!) {
  createRun(wait: true, input: $input) {
    status error { name message } interrupts { value node } thread { id messages { type text } values }
  }
}`;

/** Runs the graph on a thread: a message, or an answer to its question, or neither. */
function runOn(client: TestApp, threadId: string) {
  return async (input: object): Promise<any> => {
    const given = { assistantId: 'agent', threadId, ifThreadMissing: 'CREATE', ...input };
    const { createRun } = await client.gql(RUN, { input: given });
    expect(createRun.error).toBeNull();
    return createRun;
  };
}

const says = (content: string) => ({ input: { messages: [{ role: 'user', content }] } });
const answers = (word: string) => ({ command: { resume: [{ value: { word } }] } });
const turn = (content: string) => [`plan ${content}`, 'work 1', 'work 2', 'say'];
const QUESTION = [{ node: 'ask', value: { question: 'go on?' } }];

/** From this version on, MessagesDeltaValue can be imported. */
const OLDEST_WITH_DELTA = '1.4.8';
const DELTA_GRAPH = `
  import { AIMessage } from '@langchain/core/messages';
  import { END, MessagesDeltaValue, START, StateGraph, StateSchema } from '@langchain/langgraph';
  export const graph = new StateGraph(new StateSchema({ messages: MessagesDeltaValue }))
    .addNode('a', ({ messages }) => ({ messages: [new AIMessage({ id: 'a' + messages.length, content: 'x' })] }))
    .addEdge(START, 'a')
    .addEdge('a', END)
    .compile();`;

describe.skipIf(!wanted)('A project with a LangGraph of its own', () => {
  it.each(versions)(
    'runs, asks, goes on, is read back and edited: %s',
    async (version) => {
      await using project = await installProject(version);
      const database = await createTestDatabase();
      onTestFinished(database.dispose);
      await using server = await startServerProcess(database, { THREADQL_CONFIG: project.file });
      const { client } = server;
      const threadId = crypto.randomUUID();
      const runIt = runOn(client, threadId);

      expect(await runIt(says('one'))).toMatchObject({
        status: 'INTERRUPTED',
        interrupts: QUESTION,
        thread: { values: { log: turn('one').slice(0, 3) } },
      });
      expect(await runIt(answers('yes'))).toMatchObject({ status: 'SUCCESS', interrupts: [] });
      expect(await runIt(says('two'))).toMatchObject({
        status: 'INTERRUPTED',
        interrupts: QUESTION,
      });
      expect(await runIt(answers('again'))).toMatchObject({
        status: 'SUCCESS',
        thread: {
          values: { log: [...turn('one'), ...turn('two')], answer: { word: 'again' } },
          messages: [
            { type: 'HUMAN', text: 'one' },
            { type: 'AI', text: 'You said yes' },
            { type: 'HUMAN', text: 'two' },
            { type: 'AI', text: 'You said again' },
          ],
        },
      });

      const { updateThreadState } = await client.gql(
        `mutation ($id: ID!) {
          updateThreadState(id: $id, input: { values: { log: ["by hand"], answer: { word: "no" } }, asNode: "ask" }) { next }
        }`,
        { id: threadId },
      );
      expect(updateThreadState.next).toEqual(['say']);
      const { thread } = await runIt({});
      expect(thread.values.log).toEqual([...turn('one'), ...turn('two'), 'by hand', 'say']);
      expect(thread.messages.at(-1)).toEqual({ type: 'AI', text: 'You said no' });

      const { thread: read } = await client.gql(
        `query ($id: ID!) { thread(id: $id) { history(first: 50) { nodes { source next values } } } }`,
        { id: threadId },
      );
      const { nodes } = read.history;
      const sends = nodes.filter(({ next }: any) => next.join() === 'work,work');
      expect(sends.map(({ values }: any) => values.log.length)).toEqual([5, 1]);
      const steps = [...Array<string>(5).fill('LOOP'), 'INPUT'];
      expect(nodes.map(({ source }: any) => source)).toEqual([
        'LOOP',
        'UPDATE',
        ...steps,
        ...steps,
      ]);
    },
    INSTALL_AND_START_MS,
  );

  it.each(versions.filter((version) => byNumbers(version, OLDEST_WITH_DELTA) >= 0))(
    'has in a DeltaChannel after a fork what its own branch wrote: %s',
    async (version) => {
      await using project = await installProject(version, DELTA_GRAPH);
      const database = await createTestDatabase();
      onTestFinished(database.dispose);
      await using server = await startServerProcess(database, { THREADQL_CONFIG: project.file });
      const { client } = server;
      const threadId = crypto.randomUUID();
      const message = (id: string) => ({ messages: [{ id, role: 'user', content: id }] });
      const history = async () => {
        const { thread } = await client.gql(
          `query ($id: ID!) { thread(id: $id) { history(first: 50) { nodes { checkpointId step values } } } }`,
          { id: threadId },
        );
        return thread.history.nodes;
      };
      const runIt = runOn(client, threadId);
      await runIt({ input: message('h1') });
      const { checkpointId } = (await history()).find(({ step }: any) => step === 0);
      await runIt({ input: message('h2'), checkpointId });
      await client.gql(
        `mutation ($id: ID!, $input: UpdateThreadStateInput!) { updateThreadState(id: $id, input: $input) { step } }`,
        { id: threadId, input: { values: message('h3'), asNode: 'a', checkpointId } },
      );
      const states = (await history()).map(({ values }: any) =>
        values.messages.map(({ id }: any) => id).join(' '),
      );
      expect(states).toEqual(['h1 h3', 'h1 h2 a2', 'h1 h2', 'h1', 'h1 a1', 'h1', '']);
    },
    INSTALL_AND_START_MS,
  );
});
