import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestApp, type TestApp } from './support/app.ts';

let server: TestApp;
beforeAll(async () => {
  server = await createTestApp();
});
afterAll(() => server.stop());

// No rule of ours overrules any of them: they ask for application/json, and for nothing else that POST could take.
describe('GraphQL over HTTP', () => {
  for (const { id, name, fn } of serverAudits({ url: () => `${server.url}/graphql` })) {
    it(`${id} ${name}`, async () => {
      expect(await fn()).toMatchObject({ status: 'ok' });
    });
  }
});
