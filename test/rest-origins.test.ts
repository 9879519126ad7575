import { expect, describe } from 'vitest';
import { it as base } from './support/fixture.ts';

const ALLOWED = 'https://smith.langchain.com';
const OTHER = 'https://other.example';

const it = base.extend('settings', { scope: 'file' }, { corsOrigins: [ALLOWED] });

/** Sends a request as a browser does for a page of this origin. */
async function fromPage(
  url: string,
  origin: string,
  init: { method?: string; headers?: Record<string, string>; body?: string } = {},
) {
  return fetch(url, { ...init, headers: { origin, ...init.headers } });
}

const namesOf = (header: string | null) => (header ?? '').split(/, */);

describe('A page of another origin', () => {
  it('cannot change anything, even with a text that needs no preflight', async ({ server }) => {
    const metadata = { from: 'another page' };
    const body = JSON.stringify({ graph_id: 'echo', metadata });
    const headers = { 'content-type': 'text/plain' };
    const url = `${server.url}/assistants`;
    const refused = await fromPage(url, OTHER, { method: 'POST', headers, body });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toEqual({
      code: 'FORBIDDEN',
      detail: expect.stringContaining('CORS_ORIGINS'),
      message: expect.stringContaining('CORS_ORIGINS'),
    });
    expect(refused.headers.get('access-control-allow-origin')).toBeNull();
    const count = async () =>
      (await fetch(`${url}/count`, { method: 'POST', body: JSON.stringify({ metadata }) })).json();
    expect(await count()).toBe(0);

    const taken = await fromPage(url, ALLOWED, { method: 'POST', headers, body });
    expect(taken.status).toBe(200);
    expect(await count()).toBe(1);
  });

  it('cannot delete or change with other methods', async ({ server }) => {
    for (const method of ['DELETE', 'PATCH']) {
      const refused = await fromPage(`${server.url}/assistants/echo`, OTHER, { method });
      expect([method, refused.status]).toEqual([method, 403]);
    }
    const preflight = await fromPage(`${server.url}/assistants/echo`, OTHER, {
      method: 'OPTIONS',
      headers: { 'access-control-request-method': 'DELETE' },
    });
    expect(preflight.headers.get('access-control-allow-origin')).toBeNull();
    expect(preflight.headers.get('access-control-allow-methods')).toBeNull();
  });

  it('cannot make the browser send a GET, with an image or a link', async ({ server }) => {
    const url = `${server.url}/assistants/echo`;
    const get = async (headers: Record<string, string>) => (await fetch(url, { headers })).status;
    expect(await get({ 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await get({ 'sec-fetch-site': 'same-site' })).toBe(403);
    expect(await get({ 'user-agent': 'Mozilla/5.0' })).toBe(403);
    expect(await get({ 'sec-fetch-site': 'cross-site', origin: OTHER })).toBe(403);
    expect(await get({ 'sec-fetch-site': 'cross-site', origin: ALLOWED })).toBe(200);
    expect(await get({ 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(await get({ 'sec-fetch-site': 'none' })).toBe(200);
    expect(await get({})).toBe(200);
  });

  it('may get the routes that show nothing of a viewer', async ({ server }) => {
    for (const path of ['/ok', '/info', '/openapi.json', '/docs']) {
      const { status } = await fetch(server.url + path, {
        headers: { 'sec-fetch-site': 'cross-site' },
      });
      expect([path, status]).toEqual([path, 200]);
    }
  });
});

describe('A page of an allowed origin', () => {
  it('may use all methods and its own headers, also towards a private network', async ({
    server,
  }) => {
    const headers = {
      'access-control-request-method': 'PATCH',
      'access-control-request-headers': 'content-type,x-auth-scheme,last-event-id',
      'access-control-request-private-network': 'true',
    };
    const url = `${server.url}/assistants/echo`;
    const answer = await fromPage(url, ALLOWED, { method: 'OPTIONS', headers });
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-origin')).toBe(ALLOWED);
    expect(namesOf(answer.headers.get('access-control-allow-methods'))).toEqual(
      expect.arrayContaining(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
    );
    expect(answer.headers.get('access-control-allow-headers')).toContain('x-auth-scheme');
    expect(answer.headers.get('access-control-allow-private-network')).toBe('true');
    const refused = await fromPage(url, OTHER, { method: 'OPTIONS', headers });
    expect(refused.headers.get('access-control-allow-private-network')).toBeNull();
  });

  it('reads the headers of the place of a run and of the next part of a list', async ({
    server,
  }) => {
    const answer = await fromPage(`${server.url}/assistants/search`, ALLOWED, {
      method: 'POST',
      body: JSON.stringify({ limit: 1 }),
    });
    expect(answer.headers.get('x-pagination-next')).toBe('1');
    expect(namesOf(answer.headers.get('access-control-expose-headers'))).toEqual(
      expect.arrayContaining([
        'content-location',
        'location',
        'x-pagination-next',
        'x-pagination-total',
      ]),
    );
  });
});
