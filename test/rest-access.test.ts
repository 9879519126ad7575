import path from 'node:path';
import { describe, expect } from 'vitest';
import { routes } from '../src/rest/routes.ts';
import { randomId } from './support/app.ts';
import { it } from './support/fixture.ts';
import { askedActions } from './support/recording-handlers.ts';
import { REST_CALLS, type RestClient } from './support/rest-calls.ts';
import { createViewer, it as keys } from './support/viewers.ts';

it.override('settings', {
  graphsFile: path.join(import.meta.dirname, 'support/recording-graphs.json'),
});

function restClient(url: string, identity: string): RestClient {
  return {
    async send(request, body) {
      const [method = '', target = ''] = request.split(' ');
      const response = await fetch(url + target, {
        method,
        headers: { 'x-api-key': identity, 'content-type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
        // The stream of a thread has no end.
        await response.body?.cancel();
        return '';
      }
      const text = await response.text();
      if (!response.ok) throw new Error(`${request} answers ${response.status}: ${text}`);
      const isJson = response.headers.get('content-type')?.startsWith('application/json');
      return isJson ? JSON.parse(text) : text;
    },
  };
}

const withLogin = routes.filter(({ access }) => access !== 'open');
const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;

describe('A route', () => {
  it('has a call in support/rest-calls.ts, and each call has a route', () => {
    expect(Object.keys(REST_CALLS).toSorted()).toEqual(withLogin.map(nameOf).toSorted());
  });

  it.for(withLogin.map((route) => [nameOf(route), route] as const))(
    '%s asks access control for exactly the actions of its declaration',
    async ([name, { access }], { server }) => {
      const { prepare, query = '', body } = REST_CALLS[name] ?? expect.fail(`No call of ${name}`);
      const identity = randomId();
      const client = restClient(server.url, identity);
      const values = (await prepare?.(client)) ?? {};
      const request = name.replaceAll(/\{(\w+)\}/g, (_, key: string) =>
        encodeURIComponent(values[key] ?? expect.fail(`No value of ${key}`)),
      );
      askedActions().delete(identity);
      await client.send(request + query, body);
      const asked = new Set(askedActions().get(identity));
      expect([...asked].toSorted()).toEqual([access].flat().toSorted());
    },
  );
});

describe('Every route but the open ones', () => {
  keys('needs a login, whatever its path and its body', async ({ server }) => {
    for (const { method, path: target } of withLogin) {
      const response = await fetch(server.url + target, { method });
      const { code } = (await response.json()) as { code: string };
      expect([method, target, response.status, code]).toEqual([
        method,
        target,
        401,
        'UNAUTHENTICATED',
      ]);
    }
  });

  keys('needs the right to cancel if leaving it cancels the run', async ({ server }) => {
    const of = { tenant: 'acme', owner: 'olga' };
    const { client } = await createViewer(server, { ...of, role: 'member' });
    const { headers } = await createViewer(server, { ...of, role: 'reader' });
    const threadId = await client.createThread();
    const { id } = await client.startRun({ threadId, assistantId: 'echo', afterSeconds: 600 });
    for (const reading of ['stream', 'join']) {
      const url = `${server.url}/runs/${id}/${reading}?cancel_on_disconnect=1`;
      expect((await fetch(url, { headers })).status).toBe(403);
    }
  });
});
