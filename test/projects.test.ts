import { mkdir, readdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { readConfig } from '../src/config.ts';
import { loadGraphs } from '../src/graphs/load.ts';
import { createLogger } from '../src/log.ts';
import { CREATE_RUN, createTestApp, startTestServer, type TestApp } from './support/app.ts';
import { createTestDatabase } from './support/databases.ts';
import { startServerProcess } from './support/processes.ts';
import { createProject, type Project } from './support/projects.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

const ROOT = path.join(import.meta.dirname, '..');

afterEach(() => void vi.unstubAllEnvs());

const MODULE = { 'package.json': { type: 'module' } };

/** A graph whose only node returns `said`. */
const graphThatSays = (said: string) => `
  new StateGraph(Annotation.Root({ said: Annotation }))
    .addNode('say', () => ({ said: ${said} })).addEdge(START, 'say').addEdge('say', END)`;
const IMPORTS = `import { Annotation, END, START, StateGraph } from '@langchain/langgraph';`;

async function outputOf(app: TestApp, assistantId: string): Promise<unknown> {
  const { createRun } = await app.gql(CREATE_RUN, {
    input: { assistantId, input: {} },
    wait: true,
  });
  expect(createRun).toMatchObject({ status: 'SUCCESS' });
  return createRun.output;
}

describe('An export that is a promise', () => {
  it('is awaited: of a graph, of a builder, of a function, by name and by default', async () => {
    await using project = await createProject({
      ...MODULE,
      'a.js': `
        ${IMPORTS}
        const soon = async (value) => { await new Promise(setImmediate); return value; };
        export const compiled = soon(${graphThatSays(`'compiled'`)}.compile());
        export const builder = soon(${graphThatSays(`'builder'`)});
        export const factory = soon(async () => ${graphThatSays(`'factory'`)});
        export default soon(${graphThatSays(`'default'`)}.compile());`,
      'b.cjs': `
        const { Annotation, END, START, StateGraph } = require('@langchain/langgraph');
        exports.common = Promise.resolve(${graphThatSays(`'common'`)});`,
      'langgraph.json': {
        graphs: {
          compiled: './a.js:compiled',
          builder: './a.js:builder',
          factory: './a.js:factory',
          default: './a.js',
          common: './b.cjs:common',
        },
      },
    });
    await using app = await createTestApp({ graphsFile: project.file });
    for (const id of app.app.graphs.ids) expect(await outputOf(app, id)).toEqual({ said: id });
  });

  it('stops the start with its reason where it is rejected', async () => {
    await using project = await createProject({
      ...MODULE,
      'a.js': `export const graph = Promise.reject(new Error('The key is missing'));`,
      'langgraph.json': { graphs: { agent: './a.js:graph' } },
    });
    await expect(createTestApp({ graphsFile: project.file })).rejects.toThrow(
      /Graph "agent" .* does not load: The key is missing/,
    );
  });
});

describe('A key of langgraph.json', () => {
  async function warningsOf(settings: object): Promise<unknown[][]> {
    await using project = await createProject({ 'langgraph.json': { graphs: {}, ...settings } });
    const warnings: unknown[][] = [];
    const log = { warn: (...args: unknown[]) => void warnings.push(args) };
    await loadGraphs(project.file, { env: {}, log });
    return warnings;
  }

  it('is named in one warning if it has no effect here, unknown ones too', async () => {
    const known = ['http', 'ui', 'ui_config', 'store', 'checkpointer', 'webhooks', 'encryption'];
    const keys = [...known, 'node_loader', 'grahps'];
    const warnings = await warningsOf(Object.fromEntries(keys.map((key) => [key, {}])));
    expect(warnings.map(([fields]) => fields)).toEqual(
      keys.map((key) => expect.objectContaining({ key })),
    );
    for (const [i, key] of keys.entries()) expect(warnings[i]?.[1]).toContain(`"${key}"`);
  });

  it('is no warning if it is null, or only tells how an image is built', async () => {
    expect(
      await warningsOf({
        $schema: 'https://langgra.ph/schema.json',
        node_version: '20',
        dependencies: ['.'],
        dockerfile_lines: [],
        env: {},
        store: null,
        auth: null,
      }),
    ).toEqual([]);
  });
});

describe('A copy of LangGraph that a project brings', () => {
  /** The refusal comes first: this file could not be loaded. */
  const UNREACHED = `${IMPORTS} export const graph = ${graphThatSays(`''`)}.compile();`;
  const manifest = (version: string) => ({ name: '@langchain/langgraph', version });
  const load = ({ file }: Project) => loadGraphs(file, { env: {}, log: createLogger('silent') });

  it.each(['0.1.9', '0.2.74', '0.3.12'])('is refused by name and version: %s', async (version) => {
    const files = {
      'node_modules/@langchain/langgraph/package.json': manifest(version),
      'src/agents/graph.js': UNREACHED,
      'langgraph.json': { graphs: { agent: './src/agents/graph.js:graph' } },
    };
    await using project = await createProject(files, { modules: 'own' });
    const copy = path.join(project.directory, 'node_modules/@langchain/langgraph');
    await expect(load(project)).rejects.toThrow(
      `does not load: it uses @langchain/langgraph ${version} (${copy}); ` +
        'this server needs @langchain/langgraph 0.4.0 or newer.',
    );
  });

  it('is found nearest first, and through links', async () => {
    const files = {
      'node_modules/@langchain/langgraph/package.json': manifest('1.0.0'),
      'store/langgraph/package.json': manifest('0.2.20'),
      'packages/agent/graph.js': UNREACHED,
      'langgraph.json': { graphs: { agent: './linked/graph.js:graph' } },
    };
    await using project = await createProject(files, { modules: 'own' });
    const { directory } = project;
    await mkdir(path.join(directory, 'packages/agent/node_modules/@langchain'), {
      recursive: true,
    });
    await symlink(
      path.join(directory, 'store/langgraph'),
      path.join(directory, 'packages/agent/node_modules/@langchain/langgraph'),
    );
    await symlink(path.join(directory, 'packages/agent'), path.join(directory, 'linked'));
    await expect(load(project)).rejects.toThrow('it uses @langchain/langgraph 0.2.20');
  });

  it.each(['0.4.0', '0.4.0-alpha.1', '0.10.0', '1.0.0-rc.1', '2.0.0'])(
    'is loaded from 0.4.0 on: %s',
    async (version) => {
      const files = {
        'node_modules/@langchain/langgraph/package.json': manifest(version),
        'graph.cjs': `exports.graph = { lg_is_pregel: true };`,
        'langgraph.json': { graphs: { agent: './graph.cjs:graph' } },
      };
      await using project = await createProject(files, { modules: 'own' });
      expect((await load(project)).ids).toEqual(['agent']);
    },
  );
});

describe('LANGGRAPH_CONFIG', () => {
  const ASSISTANT = `{ assistant(id: "factory") { version config context
    versions(first: 5) { nodes { version config context } } } }`;
  const defaultsOf = (config: object) =>
    vi.stubEnv('LANGGRAPH_CONFIG', JSON.stringify({ factory: config }));
  const configured = (node: string) => ({ configurable: { node } });

  it(
    'configures the default assistants, until a client changes one',
    async () => {
      const database = await createTestDatabase();
      onTestFinished(database.dispose);
      const start = () => startTestServer(database);

      {
        await using server = await start();
        expect((await server.gql(ASSISTANT)).assistant).toMatchObject({ config: {}, context: {} });
      }
      // The existing assistant takes it, and so does its version.
      defaultsOf({ ...configured('one'), recursion_limit: 7, context: { model: 'small' } });
      {
        await using server = await start();
        const now = {
          config: { ...configured('one'), recursion_limit: 7 },
          context: { model: 'small' },
        };
        expect((await server.gql(ASSISTANT)).assistant).toEqual({
          version: 1,
          ...now,
          versions: { nodes: [{ version: 1, ...now }] },
        });
        expect(await outputOf(server, 'factory')).toEqual({ log: ['one'] });
        expect((await server.gql(`{ assistant(id: "echo") { config } }`)).assistant.config).toEqual(
          {},
        );
        await server.gql(
          `mutation { updateAssistant(id: "factory", input: { config: { configurable: { node: "mine" } } }) { id } }`,
        );
      }
      defaultsOf(configured('two'));
      {
        await using server = await start();
        expect((await server.gql(ASSISTANT)).assistant).toMatchObject({
          version: 2,
          config: configured('mine'),
        });
        expect(await outputOf(server, 'factory')).toEqual({ log: ['mine'] });
      }
    },
    SEVERAL_STARTS_MS,
  );

  it.each([
    ['no JSON', '{'],
    ['no object of objects', '{"factory": 1}'],
    ['a configuration that no run could have', '{"factory": {"configurable": []}}'],
  ])('stops the start if it is %s', async (_case, text) => {
    vi.stubEnv('LANGGRAPH_CONFIG', text);
    await expect(createTestApp()).rejects.toThrow('LANGGRAPH_CONFIG');
  });
});

describe('A setting', () => {
  it('is read with the prefix first, and named as it was read', () => {
    const both = {
      PORT: '1',
      THREADQL_PORT: '2',
      LOG_LEVEL: 'loud',
      THREADQL_LOG_LEVEL: 'warn',
      EVENT_RETENTION: 'never',
      THREADQL_EVENT_RETENTION: '7s',
      GRAPHIQL: 'perhaps',
      THREADQL_GRAPHIQL: 'off',
      CORS_ORIGINS: 'https://a.example',
      THREADQL_CORS_ORIGINS: 'https://b.example,https://c.example',
      HOST: '::1',
    };
    expect(readConfig(both)).toMatchObject({
      port: 2,
      logLevel: 'warn',
      eventRetentionSeconds: 7,
      graphiql: false,
      corsOrigins: ['https://b.example', 'https://c.example'],
      host: '::1',
    });
    expect(() => readConfig({ PORT: '1', THREADQL_PORT: 'x' })).toThrow('THREADQL_PORT is "x"');
  });

  it('has its default where the prefixed variable is empty', () => {
    const env = { DATABASE_URL: 'postgres://of.the.graph/db', THREADQL_DATABASE_URL: '' };
    expect(readConfig(env).databaseUrl).toBeUndefined();
    expect(readConfig({ ...env, THREADQL_DATABASE_URL: undefined }).databaseUrl).toContain('graph');
  });
});

/** The graph's output shows the tsconfig.json, the working directory and the variables of this project. */
const PROJECT = {
  ...MODULE,
  'tsconfig.json': {
    compilerOptions: {
      module: 'nodenext',
      experimentalDecorators: true,
      baseUrl: './src',
      paths: { '@lib/*': ['./lib/*'] },
    },
  },
  'notes.txt': 'found in the working directory',
  'src/lib/greeting.ts': `export const greeting: string = 'hello';`,
  // The server imports packages of these names.
  'src/pg.ts': `throw new Error('This is not the server\\'s.');`,
  'src/graphql.ts': `throw new Error('This is not the server\\'s.');`,
  'src/agent.ts': `
    import { readFileSync } from 'node:fs';
    ${IMPORTS}
    import { getLogger } from '@langchain/langgraph-sdk/logging';
    import { greeting } from '@lib/greeting';
    import { loud } from 'lib/loud';
    class Speaker {
      @loud
      say(): string { return greeting; }
    }
    const variables = () => ({ DATABASE_URL: process.env.DATABASE_URL, PORT: process.env.PORT, KEY: process.env.KEY });
    const atLoading = variables();
    export const graph = ${graphThatSays(`
      (getLogger().warn('the graph speaks', { tone: 'loud', level: 'mine' }, new Error('not really')),
      [new Speaker().say(), readFileSync('notes.txt', 'utf8'), process.cwd(), atLoading, variables()])`)}.compile();`,
  // A legacy decorator, with three arguments; a standard one gets two.
  'src/lib/loud.ts': `
    export function loud(_target: object, _key: string, descriptor: PropertyDescriptor) {
      const say = descriptor.value;
      descriptor.value = () => say().toUpperCase();
    }`,
  'common/package.json': {},
  'common/agent.ts': `
    ${IMPORTS}
    import { greeting } from '@lib/greeting';
    export const graph = ${graphThatSays('greeting')}.compile();`,
  '.env': [
    'DATABASE_URL=postgres://of.the.graph/db',
    'PORT=1',
    'LOG_LEVEL=silent',
    'KEY=from the file',
    // The server's own driver reads these variables at each connect.
    'PGSSLMODE=require',
    'PGHOST=of.the.graph',
    'PGUSER=nobody',
  ].join('\n'),
  'langgraph.json': {
    graphs: { agent: './src/agent.ts:graph', common: './common/agent.ts:graph' },
    env: '.env',
  },
};

describe('A project that is served from elsewhere', () => {
  it(
    'finds its tsconfig, its working directory and its variables, and the server keeps its own',
    async () => {
      await using project = await createProject(PROJECT);
      const database = await createTestDatabase();
      onTestFinished(database.dispose);
      await using server = await startServerProcess(database, {
        // Relative to the directory of the start.
        THREADQL_CONFIG: path.relative(ROOT, project.file),
        THREADQL_DATA_DIR: path.relative(ROOT, database.dataDir),
        PORT: 'of the graph',
        THREADQL_PORT: '0',
        KEY: 'from the environment',
      });

      const variables = {
        DATABASE_URL: 'postgres://of.the.graph/db',
        PORT: '1',
        KEY: 'from the file',
      };
      expect(await outputOf(server.client, 'agent')).toEqual({
        said: ['HELLO', 'found in the working directory', project.directory, variables, variables],
      });
      expect(await outputOf(server.client, 'common')).toEqual({ said: 'hello' });

      // The database is in THREADQL_DATA_DIR, not in the project.
      expect(await readdir(project.directory)).toEqual(
        expect.not.arrayContaining([expect.stringContaining('.threadql')]),
      );
      const entries = server
        .output()
        .split('\n')
        .filter((line) => line.includes('the graph speaks'));
      expect(entries.map((line) => JSON.parse(line))).toEqual([
        expect.objectContaining({
          level: 40,
          msg: 'the graph speaks',
          run: expect.any(String),
          data: { tone: 'loud', level: 'mine' },
          err: expect.objectContaining({ message: 'not really' }),
        }),
      ]);
    },
    SEVERAL_STARTS_MS,
  );

  it(
    'does not start from a folder that is missing, and says why',
    async () => {
      const missing = path.join(ROOT, 'no-such-folder/langgraph.json');
      const database = await createTestDatabase();
      onTestFinished(database.dispose);
      await expect(startServerProcess(database, { THREADQL_CONFIG: missing })).rejects.toThrow(
        `threadql did not start. ${missing} does not define the graphs to serve`,
      );
    },
    SEVERAL_STARTS_MS,
  );
});
