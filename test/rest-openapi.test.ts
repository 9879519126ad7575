import { Validator } from '@seriousme/openapi-schema-validator';
import { createHash } from 'node:crypto';
import { describe, expect } from 'vitest';
import { routes } from '../src/rest/routes.ts';
import { it as base } from './support/viewers.ts';

/** The server asks for API keys, and no client of this file has one. */
const it = base
  .extend('document', { scope: 'file' }, async ({ server }): Promise<any> => {
    return (await fetch(`${server.url}/openapi.json`)).json();
  })
  .extend('page', { scope: 'file' }, async ({ server }) => {
    const response = await fetch(`${server.url}/docs`);
    return { html: await response.text(), headers: response.headers };
  });

describe('/openapi.json', () => {
  it('is a valid OpenAPI 3.1 document, without a login', async ({ document }) => {
    const { valid, errors } = await new Validator().validate(document);
    expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
    expect(document.openapi).toBe('3.1.0');
  });

  it('has an operation for each route, with its access and the parameters of its path', ({
    document,
  }) => {
    const described = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described.toSorted()).toEqual(
      routes.map(({ method, path }) => `${method} ${path}`).toSorted(),
    );
    for (const { method, path, access } of routes) {
      const operation = document.paths[path][method.toLowerCase()];
      expect([path, operation['x-access']]).toEqual([path, access === 'open' ? [] : access]);
      expect([path, operation.security.length]).toEqual([path, access === 'open' ? 0 : 2]);
      const inPath = operation.parameters.filter((each: any) => each.in === 'path');
      expect(inPath.map(({ name }: any) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
  });

  it('describes queries, bodies and answers', ({ document }) => {
    const { get } = document.paths['/assistants/{assistant_id}/subgraphs'];
    expect(get.parameters).toContainEqual({
      name: 'recurse',
      in: 'query',
      required: false,
      schema: { type: 'string', enum: expect.arrayContaining(['true', 'false']) },
    });
    const { post } = document.paths['/assistants'];
    expect(post.requestBody.content['application/json'].schema).toMatchObject({
      required: ['graph_id'],
      properties: { graph_id: { type: 'string' }, metadata: {} },
    });
    const answer = post.responses['200'].content['application/json'].schema;
    expect(answer).toEqual({ $ref: '#/components/schemas/Assistant' });
    expect(document.components.schemas.Assistant).toMatchObject({
      type: 'object',
      properties: { assistant_id: { type: 'string', format: 'uuid' } },
    });
    const refused = post.responses['422'].content['application/json'].schema;
    expect(refused).toEqual({ $ref: '#/components/schemas/Error' });
  });
});

describe('/docs', () => {
  it('lists every route with its fields, without a login', ({ page, document }) => {
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    for (const { path } of routes) expect(page.html).toContain(`<code>${path}</code>`);
    for (const name of Object.keys(document.components.schemas)) {
      expect(page.html).toContain(`id="${name}"`);
    }
    expect(page.html).toContain('<code>delete_threads</code>');
  });

  it('needs no script and no other host, and allows only its own style', ({ page }) => {
    expect(page.html).not.toMatch(/<script|<link|<img|https?:|style="| on\w+="/);
    const [, style = ''] = /<style>([^]*?)<\/style>/.exec(page.html) ?? [];
    const hash = createHash('sha256').update(style).digest('base64');
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy.split('; ')).toContain("default-src 'none'");
    expect(policy).toContain(`style-src 'sha256-${hash}'`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
  });

  it('links only to places on itself and to the document', ({ page }) => {
    const links = [...page.html.matchAll(/href="([^"]*)"/g)].map(([, href = '']) => href);
    expect(links).toContain('openapi.json');
    for (const link of links) {
      if (link !== 'openapi.json') expect(page.html).toContain(`id="${link.slice(1)}"`);
    }
  });
});

describe('A path without a route', () => {
  it('answers 404, also where LangGraph has a route that this server lacks', async ({ server }) => {
    for (const request of [
      'POST /runs/crons',
      'POST /runs/crons/search',
      'DELETE /runs/crons/1',
      'PUT /store/items',
      'POST /store/items/search',
      'GET /metrics',
      'POST /mcp',
      'GET /nothing/here',
    ]) {
      const [method = '', path = ''] = request.split(' ');
      const response = await fetch(server.url + path, { method });
      const { detail, code } = (await response.json()) as { detail: string; code: string };
      expect([request, response.status, code]).toEqual([request, 404, expect.any(String)]);
      expect(detail).toContain('/openapi.json');
    }
  });
});
