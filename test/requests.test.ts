import { describe, expect } from 'vitest';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { connectRaw, head, post, UPGRADE } from './support/raw-socket.ts';

const QUERY = `/graphql?query=${encodeURIComponent('{ __typename }')}`;
const BROWSER = { 'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0' };

it.override('settings', {
  allowedHosts: ['ours.example'],
  corsOrigins: ['https://app.example'],
  bodyLimitBytes: 100_000,
});

/** Sends a request unchanged on a new connection, and returns the whole answer. */
async function send(client: Client, request: string): Promise<string> {
  using raw = await connectRaw(client.url);
  raw.write(request);
  await raw.see(/\r\n\r\n/);
  raw.socket.end();
  return await raw.closed;
}

const get = (client: Client, headers: Record<string, string>, target = QUERY) =>
  send(client, head(`GET ${target}`, { ...headers, Connection: 'close' }));

describe('a GET of a query', () => {
  it.for<[string, Record<string, string>]>([
    ['no browser', {}],
    ['a page of this server', { ...BROWSER, 'Sec-Fetch-Site': 'same-origin' }],
    ['the address bar', { ...BROWSER, 'Sec-Fetch-Site': 'none', 'Sec-Fetch-Mode': 'navigate' }],
    [
      'a page of CORS_ORIGINS',
      { ...BROWSER, 'Sec-Fetch-Site': 'cross-site', Origin: 'https://app.example' },
    ],
    ['a page of this server, without Sec-Fetch', { ...BROWSER, Referer: 'http://localhost/x' }],
    ['a browser with a preflight', { ...BROWSER, 'Content-Type': 'application/json' }],
  ])('is executed for %s', async ([_who, headers], { client }) => {
    expect(await get(client, headers)).toMatch(/ 200 [^]*"__typename":"Query"/);
  });

  it.for<[string, Record<string, string>]>([
    ['an image of another site', { ...BROWSER, 'Sec-Fetch-Site': 'cross-site' }],
    ['a page of another port', { ...BROWSER, 'Sec-Fetch-Site': 'same-site' }],
    [
      'a link of another site',
      { ...BROWSER, 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' },
    ],
    ['a page of an origin that is not allowed', { Origin: 'https://evil.example' }],
    ['a sandboxed page', { Origin: 'null' }],
    ['a page of another site, without Sec-Fetch', { Referer: 'https://evil.example/' }],
    ['a browser that hides its page, without Sec-Fetch', BROWSER],
  ])('is refused for %s', async ([_who, headers], { client }) => {
    expect(await get(client, headers)).toMatch(/ 403 [^]*"code":"FORBIDDEN"/);
  });

  it('is not executed where a link of another site opens the page for browsers', async ({
    client,
  }) => {
    const link = {
      ...BROWSER,
      Accept: 'text/html',
      'Sec-Fetch-Site': 'cross-site',
      'Sec-Fetch-Mode': 'navigate',
    };
    const page = await get(client, link);
    expect(page).toMatch(/ 200 [^]*content-type: text\/html/);
    expect(page).not.toContain('"__typename":"Query"');
    expect(await get(client, { ...link, 'Sec-Fetch-Mode': 'no-cors' })).toMatch(/ 403 /);
  });
});

describe('the Host of a request', () => {
  it.for<[string, string]>([
    ['is missing', 'GET /health HTTP/1.1\r\n\r\n'],
    ['comes twice', head('GET /health', { host: 'localhost' })],
    ['comes twice, with another name', head('GET /health', { host: 'evil.example' })],
    ['differs from the target', head('GET http://evil.example/health')],
    ['differs from the target in its port', head('GET http://localhost:1/health')],
    ['comes with a target that is no path', head('GET health')],
  ])('is refused where it %s', async ([_what, request], { client }) => {
    expect(await send(client, request)).toMatch(/^HTTP\/1.1 400 [^]*"code":"BAD_USER_INPUT"/);
  });

  it('may be repeated in the target, which is then read as its path', async ({ client }) => {
    expect(await send(client, head(`GET http://localhost${QUERY}`))).toContain(
      '"__typename":"Query"',
    );
  });
});

describe('every answer', () => {
  it.for<[string, number, string]>([
    ['a GET', 200, head(`GET ${QUERY}`)],
    ['a POST', 200, post('{ __typename }')],
    ['events', 200, post('{ __typename }', { Accept: 'text/event-stream' })],
    ['a mistake', 400, post('{ nope }', { Accept: 'application/graphql-response+json' })],
    ['no JSON', 400, post('{').replace('{"', '{{')],
    ['another type', 415, post('{ __typename }', { 'Content-Type': 'text/plain' })],
    ['another method', 405, head(`DELETE ${QUERY}`)],
    ['another path', 404, head('GET /nowhere')],
    ['another host', 403, head('GET /health', { Host: 'evil.example' })],
    ['another expectation', 417, head(`GET ${QUERY}`, { Expect: 'patience' })],
    ['a preflight', 204, head('OPTIONS /graphql')],
    ['the page for browsers', 200, head('GET /graphql', { Accept: 'text/html' })],
    ['health', 200, head('GET /health')],
    ['readiness', 200, head('GET /ready')],
    ['an upgrade of a page', 403, UPGRADE.replace('\r\n', '\r\nOrigin: https://evil.example\r\n')],
    ['an upgrade elsewhere', 404, UPGRADE.replace('/graphql', '/nowhere')],
    ['an upgrade in part', 400, UPGRADE.replace(/Sec-WebSocket-Key.*\r\n/, '')],
    ['no HTTP', 400, 'nonsense\r\n\r\n'],
    ['a large head', 431, head('GET /health', { Cookie: 'x'.repeat(20_000) })],
    [
      'a large body',
      413,
      head('POST /graphql', { 'Content-Type': 'application/json', 'Content-Length': 1e9 }),
    ],
  ])(
    'forbids to guess its type and says how it may be kept: %s',
    async ([_what, status, request], { client }) => {
      const answer = await send(client, request);
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(answer).toMatch(/^x-content-type-options: nosniff\r$/im);
      expect(answer).toMatch(/^cache-control: /im);
    },
  );

  it('of events passes proxies without delay', async ({ client }) => {
    const events = await send(client, post('{ __typename }', { Accept: 'text/event-stream' }));
    expect(events).toMatch(/^x-accel-buffering: no\r$/im);
  });
});

describe('the page for browsers', () => {
  const ask = (client: Client, headers: Record<string, string>) =>
    fetch(`${client.url}/graphql`, { headers: { accept: 'text/html', ...headers } });

  it('is not sent again to a browser that has it', async ({ client }) => {
    const first = await ask(client, {});
    const etag = first.headers.get('etag') ?? '';
    await first.body?.cancel();
    const second = await ask(client, { 'if-none-match': etag });
    expect(second.status).toBe(304);
    expect(second.headers.get('cache-control')).toBe('private, no-cache');
  });
});
