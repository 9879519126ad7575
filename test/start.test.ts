import { writeFile } from 'node:fs/promises';
import { describe, expect, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { until } from './support/app.ts';
import { createTestDatabase } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { startServerProcess } from './support/processes.ts';
import { createProject } from './support/projects.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

/** The whole output of a server that does not start. */
async function failureOf(env: Record<string, string>): Promise<string> {
  const database = await createTestDatabase();
  onTestFinished(database.dispose);
  const error = await startServerProcess(database, env).then(
    (server) => server.end('SIGKILL').then(() => expect.fail('It started.')),
    (thrown: Error) => thrown,
  );
  return error.message.replace('It did not start: ', '');
}

describe('A server that does not start', () => {
  it.for<[Record<string, string>, string]>([
    [{ PORT: 'abc' }, 'PORT is "abc"; it must be a whole number from 0 to 65535.'],
    [{ THREADQL_GRAPHIQL: 'maybe' }, 'THREADQL_GRAPHIQL is "maybe"; it must be one of on, off.'],
    [
      { AUTH_JWT_KEY: 'a secret with more than thirty-two bytes', AUTH_ALGORITHMS: 'HS256' },
      'AUTH_AUDIENCE must name the audience of the tokens.',
    ],
    [
      { AUTH_ALGORITHMS: 'RS256,HS256' },
      'AUTH_ALGORITHMS is "RS256,HS256"; it must name algorithms of one family (RS256, RS384, RS512; PS256, PS384, PS512; ES256, ES384, ES512; EdDSA, Ed25519; HS256, HS384, HS512).',
    ],
    [
      { AUTH_JWT_KEY: 'a secret' },
      'AUTH_JWT_KEY must be a public key in the PEM format, as RS256 of AUTH_ALGORITHMS needs it.',
    ],
    [
      {
        AUTH: 'none',
        AUTH_JWKS_URL: 'https://issuer.example/keys',
        AUTH_AUDIENCE: 'threadql',
      },
      'AUTH is "none"; it must be another value with AUTH_JWKS_URL or AUTH_JWT_KEY.',
    ],
    [
      { HOST: '0.0.0.0' },
      'HOST is 0.0.0.0, so other machines reach the server, but no client needs to log in. Set AUTH=keys, AUTH_JWKS_URL, or auth.path in langgraph.json; or AUTH=none if every client may do everything.',
    ],
  ])('tells of a wrong variable in a sentence: %o', async ([env, sentence]) => {
    expect(await failureOf(env)).toBe(`threadql did not start. ${sentence}\n`);
  });

  it(
    'tells of a wrong langgraph.json in a sentence',
    async () => {
      await using project = await createProject({ 'langgraph.json': {} });
      const intro = `threadql did not start. ${project.file} does not define the graphs to serve: `;
      const cases: [string, string | RegExp][] = [
        ['{', /JSON/],
        ['[]', 'it must be an object.'],
        ['{}', '"graphs" must be an object with the path of each graph.'],
        [
          '{ "graphs": { "a": 1 }, "env": 2 }',
          '"graphs.a" must be the path of a graph, such as "./agent.ts:graph"; ' +
            '"env" must be the path of a file, an object of texts, or a list of names.',
        ],
      ];
      for (const [text, problem] of cases) {
        await writeFile(project.file, text);
        const output = await failureOf({ THREADQL_CONFIG: project.file });
        expect(output.startsWith(intro)).toBe(true);
        if (typeof problem === 'string') expect(output).toBe(`${intro}${problem}\n`);
        else expect(output.replace(intro, '')).toMatch(problem);
        expect(output.match(/\n/g)).toHaveLength(1);
      }
    },
    SEVERAL_STARTS_MS,
  );

  it('tells of a wrong LANGGRAPH_CONFIG in a sentence', async () => {
    const output = await failureOf({ LANGGRAPH_CONFIG: '{"echo": 1}' });
    expect(output).toMatch(
      /^threadql did not start\. LANGGRAPH_CONFIG .*: "echo" must be an object\.\n$/,
    );
  });
});

describe('A page of another origin', () => {
  it('is a warning in the log, once for each origin, with the variable that allows it', async ({
    startProcess,
    ownDatabase,
  }) => {
    const ours = 'https://ours.example';
    const { client, output } = await startProcess(ownDatabase, { CORS_ORIGINS: ours });
    const ask = (origin: string) =>
      fetch(`${client.url}/graphql?query={__typename}`, { headers: { origin } });
    for (const origin of [ours, 'https://a.example', 'https://a.example', 'null'])
      await ask(origin);
    const socket = new WebSocket(`${client.url.replace('http', 'ws')}/graphql`, {
      origin: 'https://b.example',
    });
    socket.on('error', () => {});

    const warnings = () =>
      output()
        .split('\n')
        .filter((line) => line.includes('CORS_ORIGINS'))
        .map((line) => JSON.parse(line));
    await until(() => warnings().length >= 3);
    expect(warnings()).toMatchObject([
      { level: 40, origin: 'https://a.example' },
      { level: 40, origin: 'null' },
      { level: 40, origin: 'https://b.example' },
    ]);
  });
});
