import { serverAudits } from 'graphql-http';
import { describe, expect } from 'vitest';
import { it } from './support/fixture.ts';

// The server has no rule against these audits: their requests are POST requests with application/json.
describe('GraphQL over HTTP', () => {
  let url = '';
  it.beforeAll(({ server }) => {
    url = `${server.url}/graphql`;
  });

  for (const { id, name, fn } of serverAudits({ url: () => url })) {
    it(`${id} ${name}`, async () => {
      expect(await fn()).toMatchObject({ status: 'ok' });
    });
  }
});
