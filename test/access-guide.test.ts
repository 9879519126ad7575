import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, vi } from 'vitest';
import { WebSocket } from 'ws';
import { follow } from './front-end/follow.ts';
import { until } from './support/app.ts';
import { createClient } from './support/client.ts';
import { createEmptyDatabase, type TestDatabase } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { AUDIENCE, createIssuerKey, epoch, signToken, startJwksServer } from './support/jwks.ts';
import { createProject } from './support/projects.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';
import { settingsOf } from './support/settings.ts';

// Browsers have this global, and Node from version 22.
beforeAll(() => void vi.stubGlobal('WebSocket', WebSocket));
afterAll(() => void vi.unstubAllGlobals());

const AGENT = `
  import { Annotation, END, START, StateGraph } from '@langchain/langgraph';
  export const graph = new StateGraph(Annotation.Root({ text: Annotation() }))
    .addNode('answer', () => ({}))
    .addEdge(START, 'answer')
    .addEdge('answer', END);
`;

const ROOT = path.join(import.meta.dirname, '..');
const PAGE = path.join(ROOT, 'docs/access-control.md');

interface Block {
  language: string;
  code: string;
}

/** The code blocks of the page, in order. */
let blocks: Block[];

beforeAll(async () => {
  const fences = (await readFile(PAGE, 'utf8')).matchAll(/^```(\w+)\n(.*?)^```$/gms);
  blocks = Array.from(fences, ([, language = '', code = '']) => ({ language, code }));
});

/** The block at this place, which must have this language. */
function blockAt(index: number, language: string): string {
  const block = blocks[index] ?? expect.fail(`The page has no block ${index}.`);
  expect(block.language).toBe(language);
  return block.code;
}

interface Answer {
  status: number;
  body: any;
}

async function send(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(`${url}/graphql`, { method: 'POST', ...init });
  return { status: response.status, body: await response.json() };
}

/** Sends the request of a curl command, with values for its shell variables. */
async function curl(url: string, command: string, values: Record<string, string>): Promise<Answer> {
  const { headers, body } = curlRequest(command, values);
  expect(command).toContain('curl -s http://127.0.0.1:4000/graphql ');
  return send(url, { headers, body });
}

function curlRequest(command: string, values: Record<string, string>) {
  const headers = Array.from(
    command.matchAll(/-H (?:'([^']*)'|"([^"]*)")/g),
    ([, plain = '', quoted = '']): [string, string] => {
      const text = plain || quoted.replace(/\$(\w+)/g, (_, name: string) => values[name] ?? '');
      const [, name = '', value = ''] = /^([^:]+): (.*)$/.exec(text) ?? [];
      return [name, value];
    },
  );
  const [, body = ''] = /-d '(\{.*\})'$/ms.exec(command) ?? [];
  return { headers, body };
}

/** Executes `npm run keys` of a shell block on a database, and returns its output. */
async function shell(command: string, { databaseUrl, dataDir }: TestDatabase): Promise<string> {
  const env = {
    PATH: process.env['PATH'],
    THREADQL_DATA_DIR: dataDir,
    ...(databaseUrl && { DATABASE_URL: databaseUrl }),
  };
  const { stdout } = await promisify(execFile)('sh', ['-c', command], { cwd: ROOT, env });
  return stdout.trim();
}

/** The settings before `npm start`, and of the lines with `export`. */
function settingsIn(code: string): Record<string, string> {
  const settings = code.matchAll(/^(?:export )?([A-Z_]+)=(\S+)/gm);
  return Object.fromEntries(Array.from(settings, ([, name = '', value = '']) => [name, value]));
}

const withKey = (key: string) => ({ 'content-type': 'application/json', 'x-api-key': key });

describe('docs/access-control.md', { timeout: SEVERAL_STARTS_MS }, () => {
  it('creates, uses and revokes keys, as its commands stand', async ({
    startProcess,
    onTestFinished,
  }) => {
    const database = await createEmptyDatabase();
    onTestFinished(database.dispose);
    const [create = '', start = ''] = blockAt(0, 'sh').split('\n');
    const key = await shell(create, database);
    expect(key).toMatch(/^tql_[\w-]{43}$/);
    expect(start).toMatch(/ npm start$/);
    const { client } = await startProcess(database, settingsIn(start));

    const request = blockAt(1, 'sh');
    expect(await curl(client.url, request, { KEY: key })).toEqual({
      status: 200,
      body: JSON.parse(blockAt(2, 'json')),
    });
    const { body } = curlRequest(request, {});
    expect(
      await send(client.url, { headers: { 'content-type': 'application/json' }, body }),
    ).toEqual({ status: 401, body: JSON.parse(blockAt(3, 'json')) });

    const ask = (query: string, by: string, variables = {}) =>
      send(client.url, { headers: withKey(by), body: JSON.stringify({ query, variables }) });
    const { createApiKey: created } = (await ask(blockAt(4, 'graphql'), key)).body.data;
    const website = await curl(client.url, request, { KEY: created.key });
    expect(website.body.data.viewer).toEqual({
      tenant: 'default',
      identity: 'website',
      roles: ['MEMBER'],
    });
    const revoked = await ask(blockAt(5, 'graphql'), key, { id: created.apiKey.id });
    expect(revoked.body.data.revokeApiKey.revokedAt).toEqual(expect.any(String));
    await until(async () => (await curl(client.url, request, { KEY: created.key })).status === 401);
  });

  it('logs in with the tokens of an issuer, with the settings it shows', async ({
    startProcess,
    ownDatabase,
  }) => {
    const issuer = await createIssuerKey('first');
    await using jwks = await startJwksServer([issuer]);
    const settings = settingsIn(blockAt(6, 'sh'));
    expect(settings['AUTH_JWKS_URL']).toMatch(/^https:/);
    const { client } = await startProcess(ownDatabase, { ...settings, AUTH_JWKS_URL: jwks.url });
    const claims = JSON.parse(blockAt(7, 'json'));
    const answer = await curl(client.url, blockAt(8, 'sh'), {
      TOKEN: await signToken(issuer, claims),
    });
    expect(answer).toEqual({ status: 200, body: JSON.parse(blockAt(9, 'json')) });

    for (const change of [{ aud: 'other' }, { iss: 'https://other.example' }, { org: undefined }]) {
      const TOKEN = await signToken(issuer, { ...claims, ...change });
      expect((await curl(client.url, blockAt(8, 'sh'), { TOKEN })).status).toBe(401);
    }
  });

  it('follows a run beyond the end of a token, without a gap', async ({
    startServer,
    ownDatabase,
  }) => {
    const issuer = await createIssuerKey('first');
    await using jwks = await startJwksServer([issuer]);
    const settings = settingsOf({
      AUTH_JWKS_URL: jwks.url,
      AUTH_AUDIENCE: AUDIENCE,
      AUTH_LEEWAY: '0',
    });
    const { server } = await startServer(settings, ownDatabase);
    const client = createClient(server.as({ authorization: `Bearer ${await signToken(issuer)}` }));
    const gate = createGate();
    const input = { count: 10, file: gate.file };
    const threadId = await client.createThread();
    const run = await client.startRun({ threadId, assistantId: 'ticks', input });

    const exps: number[] = [];
    const url = `${server.url.replace('http', 'ws')}/graphql`;
    const seen = [];
    const events = follow(url, run.id, async () => {
      // The first token ends while the run waits, and the second one outlives the run.
      const exp = epoch() + (exps.length === 0 ? 3 : 3600);
      exps.push(exp);
      if (exps.length === 2) await gate.open();
      return signToken(issuer, { exp });
    });
    for await (const event of events) seen.push(event);
    expect(exps).toHaveLength(2);
    const all = await client.follow(run.id);
    expect(seen).toEqual(all.map(({ id, __typename }) => ({ id, __typename })));
    expect(seen.at(-1)?.__typename).toBe('RunFinishedEvent');
  });

  it('asks the handlers of a project, as it shows them', async ({ startServer, ownDatabase }) => {
    await using project = await createProject({
      'langgraph.json': blockAt(11, 'json'),
      'src/auth.ts': blockAt(12, 'ts'),
      'src/agent.ts': AGENT,
    });
    const { server } = await startServer({ graphsFile: project.file }, ownDatabase);
    const request = blockAt(13, 'sh');
    expect(await curl(server.url, request, {})).toEqual({
      status: 200,
      body: JSON.parse(blockAt(14, 'json')),
    });
    const unknown = await curl(server.url, request.replace('session-1', 'session-9'), {});
    expect(unknown).toMatchObject({
      status: 401,
      body: { errors: [{ message: 'Please log in.' }] },
    });

    const [ann, bob] = ['session-1', 'session-2'].map((session) =>
      createClient(server.as({ 'x-session': session })),
    );
    const threadId = (await ann?.createThread()) ?? '';
    const run = await ann?.runToEnd({ threadId, assistantId: 'agent', input: { text: 'Hi' } });
    expect(run).toMatchObject({ status: 'SUCCESS' });
    expect(await ann?.findThread(threadId)).toMatchObject({ values: { text: 'Hi' } });
    expect(await bob?.findThread(threadId)).toBeNull();
    const errors = await bob?.errors(
      'mutation { createAssistant(input: { graphId: "agent" }) { id } }',
    );
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });

  it('ends with the error of the request', async ({ client }) => {
    const url = `${client.url.replace('http', 'ws')}/graphql`;
    const events = follow(url, 'no id', async () => 'unused');
    await expect(events.next()).rejects.toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  });

  it('has the code that is tested here', async () => {
    const file = path.join(import.meta.dirname, 'front-end/follow.ts');
    expect(blockAt(10, 'ts')).toBe(await readFile(file, 'utf8'));
  });
});
