import { once } from 'node:events';
import { request as send, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect } from 'vitest';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';

/** Sends a GET request. `fetch` would decompress the answer. */
async function get({ url }: Client, path: string, headers: Record<string, string> = {}) {
  const request = send(`${url}${path}`, { headers });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return {
    status: response.statusCode,
    headers: response.headers,
    body: await buffer(response),
  };
}

const HTML = { accept: 'text/html' };

async function filesOf(client: Client): Promise<string[]> {
  const { body } = await get(client, '/graphql', HTML);
  const paths = String(body).matchAll(/"(graphql\/graphiql\/[^"]+)"/g);
  return [...new Set(Array.from(paths, ([, path]) => `/${path}`))];
}

describe('The page of GraphiQL', () => {
  it('is small, and is not sent again', async ({ client }) => {
    const page = await get(client, '/graphql', HTML);
    expect(page.status).toBe(200);
    expect(page.body.length).toBeLessThan(20_000);
    const again = { ...HTML, 'if-none-match': String(page.headers.etag) };
    expect(await get(client, '/graphql', again)).toMatchObject({ status: 304 });
  });

  it('has files that a browser asks for once, and that arrive compressed', async ({ client }) => {
    const files = await filesOf(client);
    expect(files.length).toBeGreaterThanOrEqual(9);
    const sizes = { plain: 0, br: 0, gzip: 0 };
    for (const file of files) {
      const plain = await get(client, file);
      const br = await get(client, file, { 'accept-encoding': 'gzip, br' });
      const gzip = await get(client, file, { 'accept-encoding': 'gzip' });
      expect(br.headers).toMatchObject({
        'content-encoding': 'br',
        'cache-control': 'public, max-age=31536000, immutable',
      });
      expect(gzip.headers['content-encoding']).toBe('gzip');
      expect(brotliDecompressSync(br.body).equals(plain.body)).toBe(true);
      expect(gunzipSync(gzip.body).equals(plain.body)).toBe(true);
      const etags = [plain, br, gzip].map(({ headers }) => headers.etag);
      expect(new Set(etags).size).toBe(3);
      const known = { 'accept-encoding': 'br', 'if-none-match': String(br.headers.etag) };
      expect((await get(client, file, known)).status).toBe(304);
      sizes.plain += plain.body.length;
      sizes.br += br.body.length;
      sizes.gzip += gzip.body.length;
    }
    expect(sizes.plain).toBeGreaterThan(8_000_000);
    expect(sizes.br).toBeLessThan(2_500_000);
    expect(sizes.gzip).toBeLessThan(2_700_000);
  });

  it('has no other files', async ({ client }) => {
    for (const file of ['page.js', 'page.0000000000000000.js', '../page.js', '']) {
      expect((await get(client, `/graphql/graphiql/${file}`)).status).toBe(404);
    }
  });

  it('does not appear in pages of other sites', async ({ client }) => {
    const [file = ''] = await filesOf(client);
    const embedded = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' };
    expect((await get(client, file, embedded)).status).toBe(403);
  });
});

describe('The root of the server', () => {
  it('leads a browser to the studio, and tells other clients the paths', async ({ client }) => {
    const browser = await get(client, '/', HTML);
    expect(browser).toMatchObject({ status: 302, headers: { location: 'studio' } });
    const { status, body } = await get(client, '/');
    expect(status).toBe(200);
    const paths: Record<string, string> = JSON.parse(String(body));
    const known = {
      graphql: '/graphql',
      health: '/health',
      ready: '/ready',
      studio: '/studio',
      rest: '/docs',
    };
    expect(paths).toEqual(known);
    expect((await get(client, String(paths['ready']))).status).toBe(200);
  });
});
