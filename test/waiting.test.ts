import { print } from 'graphql';
import { describe, expect } from 'vitest';
import { readConfig } from '../src/config.ts';
import { until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { connectRaw, frame, openRawWebSocket, post, type RawSocket } from './support/raw-socket.ts';

const { waitingLimit } = readConfig({ WAITING_LIMIT: '2' });
it.override('settings', { waitingLimit });

/** A run of graph `gate` waits for this file. No test creates it. */
const FILE = '/nonexistent/threadql-gate';

const WAITING = print(
  operation(`mutation {
    createRun(wait: true, input: {
      assistantId: "gate", input: { file: "/nonexistent/threadql-gate" }
    }) { status }
  }`),
);
const CANCEL = operation(`mutation ($id: ID!) { cancelRun(wait: true, id: $id) { status } }`);

async function countRuns(client: Client): Promise<number> {
  return (await client.gql(operation(`{ runs { totalCount } }`))).runs.totalCount;
}

const TRANSPORTS: [string, (url: string) => Promise<RawSocket>, string | Buffer][] = [
  ['HTTP', (url) => connectRaw(url), post(WAITING)],
  [
    'a WebSocket',
    openRawWebSocket,
    frame({ id: '1', type: 'subscribe', payload: { query: WAITING } }),
  ],
];

describe('wait: true', () => {
  it.for(TRANSPORTS)(
    'is refused over its limit before a run is created, until a client leaves: over %s',
    async ([_transport, open, request], { client }) => {
      const before = await countRuns(client);
      using first = await open(client.url);
      using second = await open(client.url);
      first.write(request);
      second.write(request);
      await until(async () => (await countRuns(client)) === before + 2);
      const [error] = await client.errors(WAITING);
      expect(error).toMatchObject({
        message: expect.stringContaining('Limit of 2 requests with wait: true exceeded'),
        extensions: { code: 'SERVICE_UNAVAILABLE' },
      });
      const { runs } = await client.gql(operation(`{ runs(first: 1) { nodes { id } } }`));
      const cancelled = { id: runs.nodes[0]?.id };
      const [refused] = await client.errors(CANCEL, cancelled);
      expect(refused?.extensions['code']).toBe('SERVICE_UNAVAILABLE');
      expect(await countRuns(client)).toBe(before + 2);
      // The server accepts requests without wait.
      await client.startRun({ assistantId: 'gate', input: { file: FILE } });

      first.socket.destroy();
      const ended = await until(
        async () => (await client.request(CANCEL, cancelled)).data.cancelRun,
      );
      expect(ended.status).toBe('CANCELLED');
    },
  );
});
