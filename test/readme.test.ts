import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  getOperationAST,
  introspectionFromSchema,
  Kind,
  parse,
  validate,
  type IntrospectionEnumType,
} from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../src/config.ts';
import { schema } from '../src/graphql/index.ts';
import { createTestApp, type TestApp } from './support/app.ts';

const ROOT = path.join(import.meta.dirname, '..');
const read = (page: string) => readFileSync(path.join(ROOT, page), 'utf8');

/**
 * The code blocks of each page, in order: the fields of a GraphQL operation, the commands of a shell block, or the language.
 * The operations are executed in this order.
 */
const PAGES: Record<string, string[]> = {
  'README.md': [
    'npm ci && npm start',
    'npm ci && npm test',
    'createThread',
    'createRun',
    'createRun',
    'threadEvents',
    'createRun',
    'runEvents',
    'thread',
    'createRun',
    'createRun',
    'tsx',
    'json',
    'npm run dev, npm run check, npm run fix, npm test, npm run chaos, npm run bench, npm run bench:saver, npm run keys, npm run studio, npm run generate',
  ],
  'docs/api.md': [
    'graphs graph',
    'createAssistant updateAssistant setAssistantVersion',
    'assistant assistants',
    'deleteAssistant',
    'createThread',
    'threads threadCounts',
    'thread',
    'thread',
    'thread',
    'updateThread copyThread',
    'deleteThread',
    'updateThreads deleteThreads',
    'createRun',
    'createRuns',
    'runs',
    'createRun',
    'cancelRun',
    'run',
    'deleteRun cancelRuns',
    'node',
    'createRun',
    'runEvents',
    'streamRun',
    'thread',
    'threadChanges',
    'threadChanged',
    'createApiKey',
    'viewer apiKeys',
    'revokeApiKey',
  ],
  'docs/access-control.md': [
    'npm run --silent keys, AUTH=keys npm start',
    'viewer',
    'json',
    'json',
    'createApiKey',
    'revokeApiKey',
    'export AUTH_JWKS_URL=https://issuer.example/.well-known/jwks.json, export AUTH_ISSUER=https://issuer.example, export AUTH_AUDIENCE=threadql, export AUTH_CLAIM_TENANT=org, npm start',
    'json',
    'viewer',
    'json',
    'ts',
    'json',
    'ts',
    'createThread',
    'json',
  ],
  'docs/approvals.md': ['createRun', 'pendingInterrupts', 'createRun'],
  'docs/clients/apollo.md': ['ts'],
  'docs/clients/codegen.md': ['ts'],
  'docs/clients/gql-tada.md': [
    'npx gql.tada generate-output --tsconfig tsconfig.json',
    'json',
    'ts',
  ],
  'docs/clients/graphql-sse.md': ['ts'],
  'docs/clients/relay.md': ['json', 'ts'],
  'docs/clients/stitching.md': ['ts'],
  'docs/clients/urql.md': ['ts'],
  'docs/errors.md': ['threads', 'json'],
  'docs/building-a-chat.md': ['tsx'],
  'docs/front-ends.md': ['ts'],
  'docs/graphs.md': ['json', 'json'],
  'docs/limits.md': [],
  'docs/operation.md': ['npm run keys, npm run keys, npm run keys'],
  'docs/rest.md': [
    'ts',
    'python',
    'CORS_ORIGINS=https://smith.langchain.com,http://localhost:3000 npm start',
    'ts',
    'ts',
    'json',
  ],
  'docs/scaling.md': [],
  'docs/studio.md': [],
  'docs/time-travel.md': ['thread', 'createRun', 'updateThreadState', 'thread', 'createRun'],
};

interface Block {
  name: string;
  code: string;
  /** The document of a GraphQL block or of a curl command. */
  document?: string;
}

/** All code blocks of a page. Throws for a curl command without a document. */
function blocksOf(page: string): Block[] {
  const fences = read(page).matchAll(/^```(\w*)\n(.*?)^```$/gms);
  return Array.from(fences, ([, language = '', code = '']) => {
    if (language === 'sh' && code.startsWith('curl ')) return queryBlock(code, curlDocument(code));
    if (language === 'graphql') return queryBlock(code, code);
    if (language !== 'sh') return { name: language, code };
    const commands = code.trim().split('\n');
    return { name: commands.map(withoutComment).join(', '), code };
  });
}

function queryBlock(code: string, document: string): Block {
  const selections = operationOf(document)?.selectionSet.selections ?? [];
  const fields = selections.map((field) => (field.kind === Kind.FIELD ? field.name.value : '…'));
  return { name: fields.join(' '), code, document };
}

function curlDocument(code: string): string {
  const [, body = ''] = /-d '(\{.*?\})'$/ms.exec(code) ?? [];
  return JSON.parse(body).query;
}

/** A command without its comment and the arguments after `--`. */
function withoutComment(command: string): string {
  return command.replace(/\s+(#|-- ).*$/, '');
}

function operationOf(document: string) {
  return getOperationAST(parse(document));
}

function kindOf(document: string): string | undefined {
  return operationOf(document)?.operation;
}

/** Its request is refused. */
const REFUSALS = 'docs/errors.md';
/** Its requests need a login: access-guide.test.ts executes them. */
const LOGINS = 'docs/access-control.md';
const { [REFUSALS]: _, [LOGINS]: __, ...ANSWERED } = PAGES;
const BLOCKS = Object.keys(ANSWERED).flatMap((page) => blocksOf(page));
const DOCUMENTS = BLOCKS.flatMap(({ document }) => document ?? []);
const CURLS = BLOCKS.filter(({ code }) => code.startsWith('curl ')).map(
  ({ document }) => document ?? '',
);

/** The variables of a document have their values in the previous answer, under the same names. */
function variablesOf(document: string, answer: unknown): Record<string, unknown> {
  const names = (operationOf(document)?.variableDefinitions ?? []).map(
    ({ variable }) => variable.name.value,
  );
  const text = JSON.stringify(answer);
  return Object.fromEntries(
    names.map((name) => [name, new RegExp(`"${name}":"([^"]+)"`).exec(text)?.[1]]),
  );
}

/** The pages link to these files and headings: "docs/api.md", "docs/operation.md#backup". */
function linksOf(page: string): string[] {
  const links = Array.from(read(page).matchAll(/\]\(([^)\s]+)\)/g), ([, link]) => link ?? '');
  return links
    .filter((link) => !/^https?:/.test(link))
    .map((link) => (link.startsWith('#') ? page + link : path.join(path.dirname(page), link)));
}

/** The anchors of a page's headings on GitHub. */
function headingsOf(page: string): string[] {
  const headings = read(page).matchAll(/^#+ (.*)$/gm);
  return Array.from(headings, ([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );
}

/** The rows of a page's tables of variables: variable and default. */
function variablesIn(page: string): string[][] {
  const rows = read(page).matchAll(/^\| `([A-Z_]+)` +\| (?:`(.+?)`)? +\|/gm);
  return Array.from(rows, ([, variable = '', byDefault = '']) => [variable, byDefault]);
}

describe('The README and docs/', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await createTestApp({ graphsFile: path.join(ROOT, 'langgraph.json') });
  });
  afterAll(() => server.stop());

  it('are pages that this test knows', () => {
    const docs = readdirSync(path.join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.md'))
      .map((file) => `docs/${file}`);
    expect(Object.keys(PAGES).toSorted()).toEqual(['README.md', ...docs].toSorted());
  });

  it.each(Object.entries(PAGES))('have these examples: %s', (page, names) => {
    expect(blocksOf(page).map(({ name }) => name)).toEqual(names);
    expect(read(page).match(/^ *```/gm) ?? []).toHaveLength(2 * names.length);
  });

  it('hold a conversation by hand, and show every operation by example', () => {
    expect(CURLS.length).toBeGreaterThanOrEqual(4);
    expect(DOCUMENTS.length - CURLS.length).toBeGreaterThanOrEqual(7);
  });

  it.each(DOCUMENTS)('have an example that the schema takes: %s', (document) => {
    expect(validate(schema, parse(document))).toEqual([]);
  });

  /** Subscribes. Returns the final event of runEvents, and the first event of other subscriptions. */
  async function lastEventOf(document: string, variables: Record<string, unknown>): Promise<any> {
    const events = server.subscribe(document, variables);
    let { value } = await firstEventOf(document, events.next());
    if (document.includes('runEvents')) for await (const event of events) value = event;
    await events.return?.();
    return value;
  }

  const CHANGES: Record<string, string> = {
    threadEvents: CURLS[1] ?? '',
    threadChanges: `mutation {
      updateThread(id: "01900000-0000-7000-8000-00000000000c", input: { metadata: { seen: true } }) { id }
    }`,
  };

  /** Changes a thread while the subscription waits for a change. */
  async function firstEventOf<Event>(document: string, event: Promise<Event>): Promise<Event> {
    const change = Object.entries(CHANGES).find(([field]) => document.includes(field))?.[1];
    if (!change) return event;
    do await server.gql(change);
    while (await Promise.race([event.then(() => false), sleep(50, true)]));
    return event;
  }

  it('have examples that run as they stand, in the order of the pages', async () => {
    let answer: unknown;
    const executed = [];
    const events = [];
    for (const { name, document } of BLOCKS) {
      if (!document) continue;
      const variables = variablesOf(document, answer);
      if (kindOf(document) === 'subscription') events.push(await lastEventOf(document, variables));
      else answer = await server.gql(document, variables);
      executed.push(name);
    }
    const isOperation = (name: string) =>
      !/^(([A-Z_]+=\S+ )?np[mx] .*|json|tsx?|python)$/.test(name);
    expect(executed).toEqual(Object.values(ANSWERED).flat().filter(isOperation));
    expect(events).toMatchObject([
      { threadEvents: { id: expect.any(String) } },
      { runEvents: { status: 'SUCCESS' } },
      { runEvents: { status: 'SUCCESS' } },
      { streamRun: { __typename: 'RunStartedEvent' } },
      { threadChanges: { thread: { id: '01900000-0000-7000-8000-00000000000c' } } },
      { threadChanged: { status: 'IDLE' } },
    ]);
  });

  it('edit an earlier message, and have it answered anew', async () => {
    const id = '01900000-0000-7000-8000-00000000000a';
    const { thread } = await server.gql(
      `{ thread(id: "${id}") { messages(last: 2) { type text } } }`,
    );
    expect(thread.messages).toEqual([
      { type: 'HUMAN', text: 'who made you, and when?' },
      { type: 'AI', text: expect.any(String) },
    ]);
  });

  it('say that the second agent knows what was said to the first', async () => {
    const answers = [];
    for (const document of CURLS) {
      if (document.includes('createRun')) answers.push(await server.gql(document));
    }
    expect(JSON.stringify(answers.at(-1))).toContain('who made you?');
  });

  it('show the scripts of package.json', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const used = BLOCKS.flatMap(({ name }) =>
      Array.from(name.matchAll(/npm (?:run )?([\w:]+)/g), ([, script]) => script ?? ''),
    );
    expect(used.length).toBeGreaterThanOrEqual(12);
    expect(used.filter((script) => script !== 'ci' && !(script in scripts))).toEqual([]);
  });

  it('have JSON that can be parsed', () => {
    const blocks = BLOCKS.filter(({ name }) => name === 'json');
    for (const { code } of blocks) expect(JSON.parse(code)).toBeTypeOf('object');
  });

  it('show a refusal as it comes', async () => {
    const [request, refusal] = blocksOf(REFUSALS);
    const { data, errors } = await server.request(request?.document ?? '');
    const shown = errors?.map(({ message, path: place, extensions }) => ({
      message,
      path: place,
      extensions,
    }));
    expect({ data, errors: shown }).toEqual(JSON.parse(refusal?.code ?? ''));
  });

  it('list every code of an error, with the reason in the schema', () => {
    const { enumValues } = introspectionFromSchema(schema).__schema.types.find(
      ({ name }) => name === 'ErrorCode',
    ) as IntrospectionEnumType;
    const rows = read(REFUSALS).matchAll(/^\| `([A-Z_]+)` +\|/gm);
    const listed = Array.from(rows, ([, code]) => code);
    expect(new Set(listed)).toEqual(new Set(enumValues.map(({ name }) => name)));
  });

  it('name every environment variable that the server reads', () => {
    const names: string[] = [];
    readConfig(new Proxy({}, { get: (_env, name) => void names.push(String(name)) }));
    // The page says once that each name also exists with the prefix.
    const page = read('docs/operation.md');
    const isNamed = (name: string) => page.includes(`\`${name}\``);
    const missing = names.filter(
      (name) => !isNamed(name) && !isNamed(name.replace('THREADQL_', '')),
    );
    expect(missing).toEqual([]);
  });

  it('give a variable the same default on each page', () => {
    const all = new Map(variablesIn('docs/operation.md').map(([name, value]) => [name, value]));
    const short = variablesIn('README.md');
    expect(short.length).toBeGreaterThanOrEqual(8);
    expect(short).toEqual(short.map(([name]) => [name, all.get(name)]));
  });

  it.each(['README.md', 'docs/api.md'])('show every operation once: %s', (page) => {
    const operations = ['Query', 'Mutation', 'Subscription'].flatMap((type) => {
      const object = schema.getType(type);
      return object && 'getFields' in object ? Object.keys(object.getFields()) : [];
    });
    expect(operations.filter((name) => !new RegExp(`\\b${name}\\b`).test(read(page)))).toEqual([]);
  });

  it.each(Object.keys(PAGES))('link to what is there: %s', (page) => {
    const missing = linksOf(page).filter((link) => {
      const [file = '', heading] = link.split('#');
      return !existsSync(path.join(ROOT, file)) || (heading && !headingsOf(file).includes(heading));
    });
    expect(missing).toEqual([]);
  });
});
