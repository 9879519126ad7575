import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../src/config.ts';
import { createTestApp, randomId, until, type TestApp } from './support/app.ts';
import { connectRaw, frame, openRawWebSocket, post, type RawSocket } from './support/raw-socket.ts';

const WAITING = `mutation { createRun(wait: true, input: {
  assistantId: "gate", input: { file: "/nonexistent/${randomId()}" } }) { status } }`;

let server: TestApp;
beforeAll(async () => {
  const { waitingLimit } = readConfig({ WAITING_LIMIT: '2' });
  server = await createTestApp({ waitingLimit });
});
afterAll(() => server.stop());

async function countRuns(): Promise<number> {
  return (await server.gql('{ runs { totalCount } }')).runs.totalCount;
}

const TRANSPORTS: [string, () => Promise<RawSocket>, string | Buffer][] = [
  ['HTTP', () => connectRaw(server.url), post(WAITING)],
  [
    'a WebSocket',
    () => openRawWebSocket(server.url),
    frame({ id: '1', type: 'subscribe', payload: { query: WAITING } }),
  ],
];

describe('wait: true', () => {
  it.each(TRANSPORTS)(
    'is refused over its limit before a run is created, until a client leaves: over %s',
    async (_transport, open, request) => {
      const before = await countRuns();
      using first = await open();
      using second = await open();
      first.write(request);
      second.write(request);
      await until(async () => (await countRuns()) === before + 2);
      const [error] = await server.errors(WAITING);
      expect(error).toMatchObject({
        message: expect.stringContaining('Limit of 2 requests with wait: true exceeded'),
        extensions: { code: 'SERVICE_UNAVAILABLE' },
      });
      const { id } = (await server.gql('{ runs(first: 1) { nodes { id } } }')).runs.nodes[0];
      const cancel = `mutation { cancelRun(wait: true, id: "${id}") { status } }`;
      expect((await server.errors(cancel))[0]?.extensions['code']).toBe('SERVICE_UNAVAILABLE');
      expect(await countRuns()).toBe(before + 2);
      // Requests that do not wait are served.
      await server.gql(WAITING.replace('wait: true, ', ''));

      first.socket.destroy();
      const ended = await until(() => server.request(cancel).then(({ data }) => data));
      expect(ended.cancelRun.status).toBe('CANCELLED');
    },
  );
});
