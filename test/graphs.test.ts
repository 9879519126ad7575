import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { BaseMessage } from '@langchain/core/messages';
import {
  Annotation,
  Command,
  END,
  MemorySaver,
  MessagesAnnotation,
  MessagesZodMeta,
  MessagesZodState,
  START,
  StateGraph,
  StateSchema,
  entrypoint,
  interrupt,
} from '@langchain/langgraph';
import { registry } from '@langchain/langgraph/zod';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { z as z3 } from 'zod/v3';
import { describeGraph, describeGraphById } from '../src/graphs/describe.ts';
import type { CompiledGraph } from '../src/graphs/load.ts';
import { assistantIdOf, loadGraphs, withCheckpointer } from '../src/graphs/load.ts';
import { createLogger } from '../src/log.ts';
import { createProject } from './support/projects.ts';

const ROOT = path.join(import.meta.dirname, '..');

function createLog() {
  const warnings: unknown[] = [];
  const warn = (...args: unknown[]) => void warnings.push(args);
  return Object.assign(createLogger('silent'), { warnings, warn });
}

function load(file: string, env: NodeJS.ProcessEnv = {}) {
  return loadGraphs(file, { env, log: createLog() });
}

/** Forgets the state of a graph, as the loader does. */
function asGraph(graph: unknown): CompiledGraph {
  return graph as CompiledGraph;
}

const TYPESCRIPT = `
  import { Annotation, END, START, StateGraph } from '@langchain/langgraph';
  import { greeting } from './greeting.js';
  const State = Annotation.Root({ said: Annotation<string> });
  export const graph = new StateGraph(State)
    .addNode('greet', (): { said: string } => ({ said: greeting }))
    .addEdge(START, 'greet')
    .addEdge('greet', END)
    .compile();
  export default graph;`;
const GREETING = `export const greeting = 'hello';`;
const JAVASCRIPT = TYPESCRIPT.replace('<string>', '').replace(': { said: string }', '');
const COMMONJS = `
  const { Annotation, END, START, StateGraph } = require('@langchain/langgraph');
  const greet = () => ({ said: 'hello' });
  const State = Annotation.Root({ said: Annotation });
  module.exports = Object.fromEntries([[
    'graph',
    new StateGraph(State).addNode('greet', greet).addEdge(START, 'greet').addEdge('greet', END),
  ]]);`;

/** ES modules and CommonJS, in TypeScript and in JavaScript. */
const PROJECTS = {
  'ts-esm/package.json': { type: 'module' },
  'ts-esm/tsconfig.json': { compilerOptions: { module: 'nodenext', strict: true } },
  'ts-esm/agent.ts': TYPESCRIPT,
  'ts-esm/greeting.ts': GREETING,
  'ts-cjs/package.json': {},
  'ts-cjs/agent.ts': TYPESCRIPT,
  'ts-cjs/greeting.ts': GREETING,
  'js-esm/package.json': { type: 'module' },
  'js-esm/agent.js': JAVASCRIPT,
  'js-esm/greeting.js': GREETING,
  'js-cjs/package.json': {},
  'js-cjs/agent.js': COMMONJS,
  'langgraph.json': {
    node_version: '20',
    graphs: {
      'ts-esm': './ts-esm/agent.ts:graph',
      'ts-cjs': './ts-cjs/agent.ts:graph',
      'js-esm': { path: './js-esm/agent.js:graph', description: 'Says hello.' },
      'js-cjs': './js-cjs/agent.js:graph',
      'ts-esm-default': './ts-esm/agent.ts',
      'ts-cjs-default': 'ts-cjs/agent.ts:default',
    },
  },
};

describe('loadGraphs', () => {
  it('loads TypeScript and JavaScript, ES modules and CommonJS, from anywhere', async () => {
    await using project = await createProject(PROJECTS);
    const graphs = await load(project.file);

    expect(graphs.ids).toEqual(Object.keys(PROJECTS['langgraph.json'].graphs));
    for (const id of graphs.ids) {
      const graph = await graphs.resolve(id);
      expect({ id, ...(await graph.invoke({})) }).toEqual({ id, said: 'hello' });
    }
    // Graphs of the same file share one load of it.
    expect(await graphs.resolve('ts-esm')).toBe(await graphs.resolve('ts-esm-default'));
  });

  it('loads the same where Node loads them, through tsx as in production', async () => {
    await using project = await createProject(PROJECTS);
    const script = `
      import { loadGraphs } from './src/graphs/load.ts';
      const graphs = await loadGraphs(${JSON.stringify(project.file)}, { env: {}, log: console });
      for (const id of graphs.ids) {
        const { said } = await (await graphs.resolve(id)).invoke({});
        console.log(id, said);
      }`;
    const run = ['--import', 'tsx', '--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)(process.execPath, run, { cwd: ROOT });
    expect(stdout.trim().split('\n')).toEqual(
      Object.keys(PROJECTS['langgraph.json'].graphs).map((id) => `${id} hello`),
    );
  });

  it.each([
    ['a file that does not exist', './none.ts:graph', /there is no file .*none\.ts/],
    [
      'an export that does not exist',
      './a.ts:agent',
      /no export "agent"; its exports are: (default, graph|graph, default)\./,
    ],
    ['no default export', './b.ts', /no export "default"; its exports are: text/],
    ['an export of another kind', './b.ts:text', /export "text" is of type string/],
    ['a syntax error', './broken.ts:graph', /broken\.ts|Unexpected|Expected/],
    ['an error of its own', './throws.ts:graph', /The key is missing/],
  ])('says why a graph does not load: %s', async (_case, source, cause) => {
    await using project = await createProject({
      'package.json': { type: 'module' },
      'a.ts': TYPESCRIPT,
      'greeting.ts': GREETING,
      'b.ts': `export const text = 'no graph';`,
      'broken.ts': 'export const graph = ;',
      'throws.ts': `throw new Error('The key is missing');`,
      'langgraph.json': { graphs: { good: './a.ts:graph', bad: source } },
    });
    const loading = load(project.file);
    await expect(loading).rejects.toThrow(`"bad" (${source} in ${project.file}) does not load: `);
    await expect(loading).rejects.toThrow(cause);
  });

  it.each([
    ['is missing', undefined, /ENOENT/],
    ['is not JSON', '{', /JSON/],
    ['names no graphs', {}, /graphs/],
    ['names a graph by a number', { graphs: { agent: 1 } }, /graphs\.agent/],
  ])('says that langgraph.json %s', async (_case, content, cause) => {
    await using project = await createProject(content ? { 'langgraph.json': content } : {});
    await expect(load(project.file)).rejects.toThrow(project.file);
    await expect(load(project.file)).rejects.toThrow(cause);
  });

  it('sets the variables of env before the code runs, in place of those of the environment', async () => {
    await using project = await createProject({
      '.env': 'FIRST=from the file\nSECOND="from the file"\n',
      'langgraph.json': { graphs: {}, env: '.env' },
      'object/langgraph.json': { graphs: {}, env: { FIRST: 'from the object' } },
      'list/langgraph.json': { graphs: {}, env: ['FIRST'] },
    });
    const env: NodeJS.ProcessEnv = { SECOND: 'set already', THIRD: 'set already' };
    await load(project.file, env);
    expect(env).toMatchObject({
      FIRST: 'from the file',
      SECOND: 'from the file',
      THIRD: 'set already',
    });

    const other: NodeJS.ProcessEnv = {};
    await load(path.join(project.directory, 'list/langgraph.json'), other);
    expect(other).not.toHaveProperty('FIRST');
    await load(path.join(project.directory, 'object/langgraph.json'), other);
    expect(other).toMatchObject({ FIRST: 'from the object' });
  });

  it('goes on without an env file that does not exist, and says so', async () => {
    await using project = await createProject({ 'langgraph.json': { graphs: {}, env: '.env' } });
    const log = createLog();
    await loadGraphs(project.file, { env: {}, log });
    expect(log.warnings).toEqual([
      [{ file: path.join(project.directory, '.env') }, expect.stringContaining('env file')],
    ]);
  });

  it('calls a function for each run, with its config', async () => {
    const graphs = await load(path.join(ROOT, 'test/support/langgraph.json'));
    const [one, two] = await Promise.all([
      graphs.resolve('factory', { configurable: { node: 'one' } }),
      graphs.resolve('factory', { configurable: { node: 'two' } }),
    ]);
    expect(await one.invoke({})).toEqual({ log: ['one'] });
    expect(await two.invoke({})).toEqual({ log: ['two'] });
    expect(await (await graphs.resolve('factory')).invoke({})).toEqual({ log: ['made'] });
    expect(await graphs.resolve('uncompiled')).toBe(await graphs.resolve('uncompiled'));
  });

  it('says which function returned no graph', async () => {
    await using project = await createProject({
      'package.json': { type: 'module' },
      'a.js': 'export const graph = async () => [1];',
      'langgraph.json': { graphs: { agent: './a.js:graph' } },
    });
    const graphs = await load(project.file);
    await expect(graphs.resolve('agent')).rejects.toThrow(
      /Graph "agent" \(\.\/a\.js:graph in .*\): what it returns is of type array/,
    );
  });

  it('takes the graph out of an agent that holds one', async () => {
    await using project = await createProject({
      'package.json': { type: 'module' },
      'greeting.js': GREETING,
      'graph.js': JAVASCRIPT,
      'agent.js': `
        import { graph } from './graph.js';
        export class Agent { get graph() { return graph; } invoke() {} stream() {} }
        export const agent = new Agent();`,
      'langgraph.json': { graphs: { agent: './agent.js:agent' } },
    });
    const graphs = await load(project.file);
    expect(await (await graphs.resolve('agent')).invoke({})).toEqual({ said: 'hello' });
  });

  it('refuses an unknown graph by the name of the argument', async () => {
    const graphs = await load(path.join(ROOT, 'langgraph.json'));
    expect(graphs.has('agent')).toBe(true);
    expect(graphs.has('nothing')).toBe(false);
    await expect(graphs.resolve('nothing', {}, 'input.graphId')).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      details: { argument: 'input.graphId' },
      message: 'There is no graph "nothing". The graphs are: agent, approval, research.',
    });
  });
});

describe('assistantIdOf', () => {
  it('is what every LangGraph server derives', () => {
    expect(assistantIdOf('agent')).toBe('fe096781-5601-53d2-b2f6-0d3403f7e9ca');
  });
});

/** Copies the map from channels to nodes. Runs share it, so no run may change it. */
function triggersOf(graph: CompiledGraph): unknown {
  const { triggerToNodes } = graph as unknown as { triggerToNodes: unknown };
  return structuredClone(triggerToNodes);
}

describe('withCheckpointer', () => {
  const Log = Annotation.Root({
    log: Annotation<string[]>({ reducer: (a, b) => a.concat(b), default: () => [] }),
  });

  function nested(): CompiledGraph {
    const inner = new StateGraph(Annotation.Root({ answer: Annotation<string> }))
      .addNode('ask', () => ({ answer: interrupt<string, string>('well?') }))
      .addEdge(START, 'ask')
      .addEdge('ask', END)
      .compile();
    const outer = new StateGraph(Annotation.Root({ ...Log.spec, answer: Annotation<string> }))
      .addNode('before', () => ({ log: ['before'] }))
      .addNode('inner', inner)
      .addEdge(START, 'before')
      .addEdge('before', 'inner')
      .addEdge('inner', END)
      .compile();
    return asGraph(outer);
  }

  it('gives a run its own saver, in subgraphs too, and leaves the shared graph as it is', async () => {
    const shared = nested();
    const triggers = triggersOf(shared);
    const config = { configurable: { thread_id: '1' } };
    const one = withCheckpointer(shared, new MemorySaver());
    const two = withCheckpointer(shared, new MemorySaver());

    await one.invoke({ log: ['in'] }, config);
    const waiting = await one.getState(config, { subgraphs: true });
    expect(waiting.next).toEqual(['inner']);
    expect(waiting.tasks[0]?.state).toMatchObject({ next: ['ask'] });
    expect((await two.getState(config)).values).toEqual({});

    await one.invoke(new Command({ resume: 'fine' }), config);
    expect((await one.getState(config)).values).toEqual({ log: ['in', 'before'], answer: 'fine' });
    const history = [];
    for await (const { next } of one.getStateHistory(config)) history.push(next);
    expect(history).toEqual([[], ['inner'], ['before'], ['__start__']]);

    await two.bulkUpdateState(config, [
      { updates: [{ values: { log: ['by hand'] }, asNode: 'before' }] },
    ]);
    expect(await two.getState(config)).toMatchObject({
      values: { log: ['by hand'] },
      next: ['inner'],
    });

    expect(shared.checkpointer).toBeUndefined();
    expect(triggersOf(shared)).toEqual(triggers);
  });

  it('works for a graph of the functional API', async () => {
    const shared = double();
    const triggers = triggersOf(shared);
    const config = { configurable: { thread_id: '1' } };
    const graph = withCheckpointer(shared, new MemorySaver());
    expect(await graph.invoke(21, config)).toBe(42);
    expect((await graph.getState(config)).values).toBe(42);
    expect(triggersOf(shared)).toEqual(triggers);
  });
});

/** A graph of the functional API. */
const double = () => asGraph(entrypoint('double', async (n: number) => n * 2));

function withState(state: unknown, context?: unknown): CompiledGraph {
  const graph = new StateGraph(state as typeof MessagesAnnotation, context as undefined)
    .addNode('one', () => ({}), { metadata: { team: 'a' } })
    .addNode('two', () => ({}))
    .addEdge(START, 'one')
    .addConditionalEdges('one', () => 'go', { go: 'two', stop: END })
    .addEdge('two', END)
    .compile();
  return asGraph(graph);
}

describe('describeGraph', () => {
  it('shows nodes, edges and a picture', async () => {
    const { nodes, edges, mermaid } = await describeGraph(withState(MessagesZodState));
    const runnable = (name: string) => ({ id: ['langgraph', 'RunnableCallable'], name });
    expect(nodes).toEqual([
      { name: '__start__', metadata: undefined, runnable: undefined },
      { name: 'one', metadata: { team: 'a' }, runnable: runnable('one') },
      { name: 'two', metadata: {}, runnable: runnable('two') },
      { name: '__end__', metadata: undefined, runnable: undefined },
    ]);
    expect(edges).toEqual([
      { source: '__start__', target: 'one', conditional: false, label: undefined },
      { source: 'two', target: '__end__', conditional: false, label: undefined },
      { source: 'one', target: 'two', conditional: true, label: 'go' },
      { source: 'one', target: '__end__', conditional: true, label: 'stop' },
    ]);
    expect(mermaid).toContain('one -. &nbsp;go&nbsp; .-> two;');
  });

  it('has JSON Schemas of zod 3, zod 4 and StateSchema states', async () => {
    const messages = { langgraph_type: 'messages' };
    expect(
      await describeGraph(withState(MessagesZodState, z.object({ model: z.string() }))),
    ).toMatchObject({
      inputSchema: { properties: { messages } },
      outputSchema: { properties: { messages } },
      stateSchema: { properties: { messages } },
      contextSchema: { properties: { model: { type: 'string' } }, required: ['model'] },
    });

    const zod3 = z3.object({ count: z3.number(), at: z3.date() });
    expect((await describeGraph(withState(zod3))).stateSchema).toMatchObject({
      properties: { count: { type: 'number' }, at: { type: 'string' } },
      required: ['count', 'at'],
    });

    // A type without a JSON Schema accepts all values.
    const zod4 = z.object({
      messages: z.custom<BaseMessage[]>().register(registry, MessagesZodMeta),
      count: z.number(),
      at: z.date(),
    });
    const { inputSchema, stateSchema } = await describeGraph(withState(zod4));
    expect(stateSchema).toMatchObject({
      properties: { messages, count: { type: 'number' }, at: {} },
      required: expect.arrayContaining(['count', 'at']),
    });
    expect(inputSchema?.['required'] ?? []).toEqual([]);

    const { stateSchema: own } = await describeGraph(
      withState(new StateSchema({ count: z.number() })),
    );
    expect(own).toMatchObject({ properties: { count: { type: 'number' } } });
  });

  it('has the channels of annotations: names, defaults with their types, messages, and how updates combine', async () => {
    const concat = (left: string[], right: string[]) => left.concat(right);
    const withItself = (object: Record<string, unknown> = {}) => Object.assign(object, { object });
    const State = Annotation.Root({
      ...MessagesAnnotation.spec,
      text: Annotation<string>,
      log: Annotation<string[]>({ reducer: concat, default: () => [] }),
      total: Annotation<number>({ reducer: (left, right) => left + right, default: () => 3 }),
      options: Annotation<object>({ reducer: (_, right) => right, default: () => ({ deep: [1] }) }),
      owner: Annotation<string | null>({ reducer: (_, right) => right, default: () => null }),
      seen: Annotation<Set<string>>({ reducer: (left) => left, default: () => new Set() }),
      odd: Annotation<object>({ reducer: (left) => left, default: () => withItself() }),
    });
    const { stateSchema, inputSchema, outputSchema, contextSchema } = await describeGraph(
      withState(State),
    );
    const combines = expect.stringContaining('A reducer combines') as string;
    expect(stateSchema).toEqual({
      type: 'object',
      properties: {
        messages: expect.objectContaining({
          type: 'array',
          langgraph_type: 'messages',
          default: [],
        }) as object,
        text: { description: 'The last value replaces the one before.' },
        log: {
          type: 'array',
          default: [],
          description: 'The reducer "concat" combines each update with the value before.',
        },
        total: { type: 'number', default: 3, description: combines },
        options: { type: 'object', default: { deep: [1] }, description: combines },
        owner: { default: null, description: combines },
        seen: { description: combines },
        odd: { description: combines },
      },
    });
    expect(outputSchema).toEqual(stateSchema);
    // The input and the output of a reducer may differ in type.
    expect(inputSchema).toMatchObject({
      properties: {
        messages: { type: ['array', 'object', 'string'], langgraph_type: 'messages' },
        total: { default: 3 },
      },
    });
    expect(inputSchema).not.toHaveProperty('properties.total.type');
    expect(contextSchema).toBeUndefined();
  });

  it('has those channels of annotations that are its input and its output', async () => {
    const Text = Annotation.Root({ text: Annotation<string> });
    const Done = Annotation.Root({ done: Annotation<boolean> });
    const graph = new StateGraph({
      stateSchema: Annotation.Root({ ...Text.spec, ...Done.spec, own: Annotation<number> }),
      input: Text,
      output: Done,
    })
      .addNode('one', () => ({}))
      .addEdge(START, 'one')
      .compile();
    const described = await describeGraph(asGraph(graph));
    const namesIn = (schema: Record<string, unknown> | undefined) =>
      Object.keys(schema?.['properties'] ?? {});
    expect(namesIn(described.inputSchema)).toEqual(['text']);
    expect(namesIn(described.outputSchema)).toEqual(['done']);
    expect(namesIn(described.stateSchema)).toEqual(['text', 'done', 'own']);
  });

  it('has no schemas of a graph without channels of its own', async () => {
    const graph = double();
    expect(await describeGraph(graph)).toMatchObject({
      inputSchema: undefined,
      outputSchema: undefined,
      stateSchema: undefined,
      contextSchema: undefined,
    });
  });

  it('names the parts of a graph of the functional API', async () => {
    const graph = double();
    const { nodes } = await describeGraph(graph);
    expect(nodes.map(({ name }) => name)).toEqual(['doubleInput', 'double', 'doubleOutput']);
  });

  it('knows nothing of a graph that is gone, or whose function throws, and tries that again', async () => {
    await using project = await createProject({
      'package.json': { type: 'module' },
      'greeting.js': GREETING,
      'graph.js': JAVASCRIPT,
      'a.js': `
        import { graph } from './graph.js';
        let calls = 0;
        export function make() {
          if (calls++ === 0) throw new Error('Not now');
          return graph;
        }`,
      'langgraph.json': { graphs: { agent: './a.js:make' } },
    });
    const graphs = await load(project.file);
    const log = createLog();
    expect(await describeGraphById({ graphs, log }, 'gone')).toMatchObject({ nodes: [] });
    expect(log.warnings).toHaveLength(0);
    expect(await describeGraphById({ graphs, log }, 'agent')).toMatchObject({ nodes: [] });
    expect(log.warnings).toHaveLength(1);
    expect((await describeGraphById({ graphs, log }, 'agent')).nodes).toHaveLength(3);
  });
});

async function example(id: string): Promise<CompiledGraph> {
  const graphs = await load(path.join(ROOT, 'langgraph.json'));
  return withCheckpointer(await graphs.resolve(id), new MemorySaver());
}

const ask = (content: string) => ({ messages: [{ role: 'user', content }] });

describe('the example graphs', () => {
  beforeEach(() => {
    vi.stubEnv('OPENAI_API_KEY', undefined);
    vi.stubEnv('ANTHROPIC_API_KEY', undefined);
  });
  afterEach(() => void vi.unstubAllEnvs());

  it('agent streams word by word, says which configuration it is and sees the whole thread', async () => {
    const graph = await example('agent');
    const openai = { configurable: { thread_id: '1', model_name: 'openai' } };
    const chunks: BaseMessage[] = [];
    for await (const [chunk] of await graph.stream(ask('who made you?'), {
      ...openai,
      streamMode: 'messages',
    })) {
      chunks.push(chunk);
    }
    expect(chunks.length).toBeGreaterThan(5);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.map(({ text }) => text).join('')).toMatch(/^I run as "openai", offline/);

    const { messages } = await graph.invoke(ask('and you?'), { configurable: { thread_id: '1' } });
    expect(messages.map(({ type }: BaseMessage) => type)).toEqual(['human', 'ai', 'human', 'ai']);
    expect(messages[3].text).toBe(
      'I run as "default", offline, since no key is set for it. I see 3 messages. ' +
        'You first asked "who made you?", and now "and you?".',
    );
    expect(messages[3].usage_metadata.total_tokens).toBeGreaterThan(0);
  });

  it('agent refuses a model that it does not know, and stops when it is told to', async () => {
    const graph = await example('agent');
    const gemini = { configurable: { thread_id: '1', model_name: 'gemini' } };
    await expect(graph.invoke(ask('hello'), gemini)).rejects.toThrow(
      'model_name is "gemini"; it must be openai or anthropic.',
    );
    const stop = new AbortController();
    const stream = await graph.stream(ask('hello'), {
      configurable: { thread_id: '2' },
      streamMode: 'messages',
      signal: stop.signal,
    });
    await expect(async () => {
      for await (const [chunk] of stream) stop.abort(new Error(`stopped after ${chunk.text}`));
    }).rejects.toThrow('stopped after I ');
  });

  it.each([
    [{ approved: true }, 'The tool says: E-mail sent to ada@example.com.'],
    [{ approved: false, reason: 'too early' }, 'The tool says: Not sent: too early.'],
  ])('approval waits for a person: %j', async (resume, answer) => {
    const graph = await example('approval');
    const config = { configurable: { thread_id: '1' } };
    await graph.invoke(ask('Tell ada@example.com that it works.'), config);
    const [task] = (await graph.getState(config)).tasks;
    expect(task?.interrupts).toMatchObject([
      { value: { question: 'Send this e-mail to ada@example.com?' } },
    ]);
    const { messages } = await graph.invoke(new Command({ resume }), config);
    expect(messages.at(-1).text).toBe(answer);
  });

  it('research searches in parallel, tells how far it is, and writes in a subgraph', async () => {
    const graph = await example('research');
    const parts: [string[], string, Record<string, unknown>][] = [];
    for await (const part of await graph.stream(
      { topic: 'tea' },
      {
        configurable: { thread_id: '1' },
        streamMode: ['custom', 'updates'],
        subgraphs: true,
      },
    )) {
      parts.push(part as [string[], string, Record<string, unknown>]);
    }
    expect(parts.filter(([, mode]) => mode === 'custom')).toHaveLength(6);
    expect(parts.filter(([namespace]) => namespace[0]?.startsWith('writer:'))).toHaveLength(2);
    expect(parts.at(-1)?.[2]['writer']).toMatchObject({
      report: expect.stringMatching(/^# tea\n- What comes after tea\?/),
    });
  });
});
