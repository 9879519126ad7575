import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as send, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { HttpLink } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { parse } from 'graphql';
import { describe, expect } from 'vitest';
import { until } from './support/app.ts';
import { createApollo } from './support/client-libraries.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';

const SEARCH = '{ assistants { totalCount } }';
const PARTS = 'multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json';

const endpointOf = ({ url }: { url: string }) => `${url}/graphql`;

function post(client: Client, body: object, headers: Record<string, string> = {}) {
  return fetch(endpointOf(client), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

/** Sends a query. `fetch` would decompress the answer. */
async function ask(client: Client, query: string, headers: Record<string, string>) {
  const request = send(endpointOf(client), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
  });
  request.end(JSON.stringify({ query }));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { headers: response.headers, body: await buffer(response) };
}

describe('A subscription in parts, for Apollo Client', () => {
  const FOLLOW = `subscription ($runId: ID!) { runEvents(runId: $runId) { __typename id } }`;

  /** Collects the answer in the background. */
  function collectText(response: Response) {
    const collected = { text: '' };
    const ended = (async () => {
      const decoder = new TextDecoder();
      for await (const bytes of response.body ?? []) {
        collected.text += decoder.decode(bytes, { stream: true });
      }
    })();
    return { collected, ended };
  }

  const partsOf = (text: string) =>
    text.split('\r\n--graphql').map((part) => {
      const [head, body] = part.split('\r\n\r\n');
      return body === undefined ? part : { head, body: JSON.parse(body) };
    });

  it('has heartbeats, a payload for each event, and the closing boundary', async ({ client }) => {
    const gate = createGate();
    const { id: runId } = await client.startRun({
      assistantId: 'halves',
      input: { file: gate.file },
    });
    const variables = { runId };
    const response = await post(client, { query: FOLLOW, variables }, { accept: PARTS });
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0',
      'x-accel-buffering': 'no',
    });
    expect(response.headers.get('content-encoding')).toBeNull();

    const { collected, ended } = collectText(response);
    // The first heartbeat comes at once, the second while the run waits.
    await until(() => collected.text.split('\r\n\r\n{}\r\n--graphql').length > 2);
    await gate.open();
    await ended;

    const [preamble, ...parts] = partsOf(collected.text);
    expect(preamble).toBe('');
    expect(parts.pop()).toBe('--\r\n');
    const head = '\r\nContent-Type: application/json';
    expect(parts[0]).toEqual({ head, body: {} });
    const events = parts.filter(
      (part) => typeof part !== 'string' && Object.keys(part.body).length > 0,
    );
    const followed = await client.follow(runId);
    expect(events).toEqual(
      followed.map(({ __typename, id }) => ({
        head,
        body: { payload: { data: { runEvents: { __typename, id } } } },
      })),
    );
  });

  it('is refused in JSON, and a query has its answer in JSON', async ({ client }) => {
    const missing = { runId: '01900000-0000-7000-8000-00000000dead' };
    const refused = await post(client, { query: FOLLOW, variables: missing }, { accept: PARTS });
    expect(refused.headers.get('content-type')).toMatch(/^application\/json/);
    expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
    const query = await post(client, { query: SEARCH }, { accept: PARTS });
    expect(await query.json()).toMatchObject({ data: { assistants: {} } });
  });
});

describe('The hash of a query instead of the query', () => {
  const sha256Hash = createHash('sha256').update(SEARCH).digest('hex');
  const extensions = { persistedQuery: { version: 1, sha256Hash } };

  it('is answered as Apollo Server does without persisted queries', async ({ client }) => {
    const answers = [
      await post(client, { extensions }),
      await post(client, { extensions }, { accept: 'application/graphql-response+json' }),
      await fetch(
        `${endpointOf(client)}?extensions=${encodeURIComponent(JSON.stringify(extensions))}`,
      ),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      expect(answer.headers.get('cache-control')).toBe('private, no-cache, must-revalidate');
      expect(await answer.json()).toEqual({
        errors: [
          {
            message: 'PersistedQueryNotSupported',
            extensions: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' },
          },
        ],
      });
    }
    const both = await post(client, { query: SEARCH, extensions });
    expect(await both.json()).toMatchObject({ data: { assistants: {} } });
  });

  it('makes Apollo Client send the query', async ({ client }) => {
    const sha256 = (query: string) => createHash('sha256').update(query).digest('hex');
    const uri = endpointOf(client);
    const link = new PersistedQueryLink({ sha256 }).concat(new HttpLink({ uri }));
    const { library } = await createApollo(uri, link);
    await using _ = library;
    const answer: any = await library.query(parse(SEARCH));
    expect(answer.assistants.totalCount).toBeGreaterThan(0);
  });
});

describe('A large answer', () => {
  const LARGE = '{ __schema { types { name description fields { name description } } } }';

  it.for([
    ['gzip, deflate, br', 'br', brotliDecompressSync],
    ['gzip;q=1, br;q=0.5', 'gzip', gunzipSync],
    ['br;q=0, *', 'gzip', gunzipSync],
  ] as const)('is compressed for %s', async ([accepted, encoding, decompress], { client }) => {
    const plain = await ask(client, LARGE, {});
    const { headers, body } = await ask(client, LARGE, { 'accept-encoding': accepted });
    expect(headers['content-encoding']).toBe(encoding);
    expect(headers['content-length']).toBe(String(body.length));
    expect(headers.vary).toContain('accept-encoding');
    expect(decompress(body).equals(plain.body)).toBe(true);
    expect(body.length).toBeLessThan(plain.body.length / 3);
  });

  it.for(['identity', 'gzip;q=0', 'zstd'])(
    'is sent as it is for %s',
    async (accepted, { client }) => {
      const { headers, body } = await ask(client, LARGE, { 'accept-encoding': accepted });
      expect(headers['content-encoding']).toBeUndefined();
      expect(JSON.parse(String(body)).data.__schema.types.length).toBeGreaterThan(50);
    },
  );

  it('is compressed alone: no small answer, and no stream', async ({ client }) => {
    const all = { 'accept-encoding': 'gzip, br' };
    const small = await ask(client, SEARCH, all);
    expect(small.headers['content-encoding']).toBeUndefined();
    const { id } = await client.startRun({ assistantId: 'echo', input: { messages: [] } });
    const follow = `subscription { runEvents(runId: "${id}") { id } }`;
    const streamed = await ask(client, follow, { ...all, accept: 'text/event-stream' });
    expect(String(streamed.body)).toContain('event: next');
    const inParts = await ask(client, follow, { ...all, accept: PARTS });
    expect(inParts.headers['content-encoding']).toBeUndefined();
    expect(String(inParts.body)).toContain('--graphql--');
  });
});
