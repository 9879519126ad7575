import { describe, expect, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createThreadClient, type ClientSettings } from '../src/client/client.ts';
import { sql } from '../src/db/sql.ts';
import { randomId, until } from './support/app.ts';
import { queryDirectly } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { openFragileProxy } from './support/fragile-proxy.ts';
import { freePort } from './support/free-port.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';
import { FIRST_HALF, untilReaders } from './support/streams.ts';
import { createViewer } from './support/viewers.ts';
import { connectThreads, isDone, linesOf, watch } from './support/thread-clients.ts';

const SECOND_HALF = 'four five six ';
const HALVES = ['HUMAN Count!', `AI ${FIRST_HALF}`, `AI ${SECOND_HALF}`];

const RUNS = operation(`query ($id: ID!) { thread(id: $id) { runs { totalCount } } }`);
const DELETE_RUN = operation(`mutation ($id: ID!) { deleteRun(id: $id) }`);

function openThread(url: string, assistantId: string, threadId = randomId()) {
  return { threadId, ...watch(connectThreads(url).thread(threadId, { assistantId })) };
}

const halves = (gate: { file: string }) => ({
  file: gate.file,
  messages: [{ role: 'user', content: 'Count!' }],
});

/** All texts of a message of the answer, in order of time. */
function textsOf({ seen }: Pick<ReturnType<typeof openThread>, 'seen'>, index: number): string[] {
  const texts = seen.flatMap(({ messages }) => messages[index]?.text ?? []);
  return texts.filter((text, n) => text !== texts[n - 1]);
}

describe('a store whose connection breaks', () => {
  it('continues in the middle of a message, with each word once', async ({ client }) => {
    await using proxy = await openFragileProxy(client.url);
    const thread = openThread(proxy.url, 'agent');
    await thread.until(({ connection }) => connection === 'live');
    // The answer repeats the question, word by word.
    proxy.cutBefore('"text":"word40 "');
    await thread.store.send(Array.from({ length: 60 }, (_, n) => `word${n}`).join(' '));
    await thread.until(({ connection }) => connection === 'reconnecting');
    expect(thread.now().messages.at(-1)).toMatchObject({ type: 'AI', status: 'streaming' });
    proxy.mend();
    const end = await thread.until(isDone);
    expect(end).toMatchObject({ connection: 'live', messages: [{}, { status: 'stored' }] });
    // Each text continues the text before it.
    const texts = textsOf(thread, 1);
    expect(texts.length).toBeGreaterThan(3);
    for (const text of texts) expect(end.messages[1]?.text.startsWith(text)).toBe(true);
    expect(texts).toEqual(texts.toSorted((one, other) => one.length - other.length));
  });

  it('has what happened while it was away', async ({ client, server }) => {
    await using proxy = await openFragileProxy(client.url);
    const gate = createGate();
    const thread = openThread(proxy.url, 'halves');
    await thread.store.send(halves(gate));
    await thread.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    proxy.cut();
    await untilReaders(server, 0);
    await gate.open();
    const [run] = thread.now().runs;
    await client.untilEnded(run?.id ?? '');
    const echo = { threadId: thread.threadId, assistantId: 'echo' };
    await client.runToEnd({ ...echo, input: { messages: [{ role: 'user', content: 'More?' }] } });
    proxy.mend();
    const end = await thread.until(
      ({ messages, isRunning }) => messages.length === 5 && !isRunning,
    );
    expect(linesOf(end)).toEqual([...HALVES, 'HUMAN More?', 'AI echo: More?']);
  });

  it('sends a message when the connection is back, once', async ({ client }) => {
    await using proxy = await openFragileProxy(client.url);
    const thread = openThread(proxy.url, 'echo');
    await thread.until(({ connection }) => connection === 'live');
    // The server has created the run, and its answer is lost.
    proxy.cutBefore('"createRun"');
    const sent = thread.store.send('Hello?');
    await until(() => proxy.refused > 0);
    expect(linesOf(thread.now())).toEqual(['HUMAN Hello? (sending)']);
    proxy.mend();
    await sent;
    expect(linesOf(await thread.until(isDone))).toEqual(['HUMAN Hello?', 'AI echo: Hello?']);
    const { thread: stored } = await client.gql(RUNS, { id: thread.threadId });
    expect(stored?.runs.totalCount).toBe(1);
  });

  it('reads the state again when its events have expired', async ({ client, server }) => {
    await using proxy = await openFragileProxy(client.url);
    const gate = createGate();
    const thread = openThread(proxy.url, 'halves');
    await thread.store.send(halves(gate));
    await thread.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    const [run] = thread.now().runs;
    proxy.cut();
    await untilReaders(server, 0);
    await gate.open();
    await client.untilEnded(run?.id ?? '');
    await client.gql(DELETE_RUN, { id: run?.id ?? '' });
    proxy.mend();
    await thread.until(({ messages, isRunning }) => messages.length === 3 && !isRunning);
    expect(linesOf(thread.now())).toEqual(HALVES);
  });

  it('keeps a list of threads up to date', async ({ client, server }) => {
    await using proxy = await openFragileProxy(client.url);
    const topic = randomId();
    const list = watch(connectThreads(proxy.url).threads({ metadata: { topic } }));
    await list.until(({ connection }) => connection === 'live');
    proxy.cut();
    await until(() => server.app.changes.watchers === 0);
    const id = await client.createThread({ metadata: { topic } });
    proxy.mend();
    await list.until(({ threads }) => threads[0]?.id === id);
  });
});

describe('a store whose credentials end', () => {
  it('continues with the next ones, and ends without any', async ({ startServer }) => {
    const { server } = await startServer({ auth: 'keys' });
    const owner = { tenant: 'acme', owner: 'alice', role: 'member' } as const;
    const [first, second] = await Promise.all([
      createViewer(server, owner),
      createViewer(server, owner),
    ]);
    await server.app.sql.query(
      sql`UPDATE "ApiKey" SET "expiresAt" = now() + interval '3 seconds' WHERE "last4" = ${first.headers['x-api-key'].slice(-4)}`,
    );
    const keys = [first.headers, second.headers, second.headers, second.headers];
    const url = `${server.url}/graphql`;
    const open = (connectionParams: ClientSettings['connectionParams']) => {
      const client = createThreadClient({ url, webSocketImpl: WebSocket, connectionParams });
      return watch(client.thread(randomId(), { assistantId: 'echo' }));
    };
    const renewed = open(() => keys.shift());
    const ended = open(first.headers);
    await renewed.until(({ connection }) => connection === 'live');
    await renewed.until(() => renewed.seen.some(({ connection }) => connection === 'reconnecting'));
    await renewed.until(({ connection }) => connection === 'live');
    await renewed.store.send('Hello?');
    expect(linesOf(await renewed.until(isDone))).toEqual(['HUMAN Hello?', 'AI echo: Hello?']);
    await ended.until(({ connection }) => connection === 'closed');
    expect(ended.now().error).toMatchObject({ code: '4403' });
  });
});

describe('a store whose viewer is over its rate limit', () => {
  /** A WebSocket that calls `onLimited` at the moment when the server refuses a run. */
  function socketWith(onLimited: () => void) {
    const runs = new Set<string>();
    return class extends WebSocket {
      constructor(...given: ConstructorParameters<typeof WebSocket>) {
        super(...given);
        this.on('message', (data) => {
          const { id, payload } = JSON.parse((data as Buffer).toString());
          const isLimited = JSON.stringify(payload ?? null).includes('RATE_LIMITED');
          if (runs.has(id) && isLimited) onLimited();
        });
      }
      override send(...given: any[]): void {
        const { id, payload } = JSON.parse(String(given[0]));
        if (payload?.query?.includes('createRun')) runs.add(id);
        super.send(...(given as Parameters<WebSocket['send']>));
      }
    };
  }

  /** The storage of a browser. */
  function createStorage() {
    const texts = new Map<string, string>();
    return {
      texts: () => [...texts.values()].join(),
      getItem: (name: string) => texts.get(name) ?? null,
      setItem: (name: string, text: string) => void texts.set(name, text),
      removeItem: (name: string) => void texts.delete(name),
    };
  }

  it('keeps what the person typed, also over a reload, and sends it once', async ({
    startServer,
  }) => {
    const { server } = await startServer({ auth: 'keys', rateLimit: 80_000 });
    const owner = { tenant: 'acme', owner: 'alice', role: 'member' } as const;
    const { client, headers } = await createViewer(server, owner);
    const storage = createStorage();
    /** The storage at each refusal. */
    const kept: string[] = [];
    const threadId = randomId();
    const open = () => {
      const thread = createThreadClient({
        url: `${server.url}/graphql`,
        webSocketImpl: socketWith(() => void kept.push(storage.texts())),
        connectionParams: headers,
        storage,
      }).thread(threadId, { assistantId: 'echo' });
      return watch(thread);
    };
    const useUp = async (document: string) => {
      while ((await client.request(document)).data);
    };

    const first = open();
    await first.until(({ connection }) => connection === 'live');
    // The clock stands still: the units do not come back.
    onTestFinished(() => void vi.useRealTimers());
    vi.useFakeTimers({ toFake: ['performance'] });
    await useUp('{ threads(first: 10) { nodes { runs(first: 100) { nodes { id } } } } }');
    await useUp('{ threads(first: 10) { nodes { id } } }');
    await useUp('{ viewer { tenant } }');
    void first.store.send('Hello?');
    await until(() => kept.length > 1);
    expect(linesOf(first.now())).toEqual(['HUMAN Hello? (sending)']);
    expect(first.now().error).toBeUndefined();
    expect(kept[0]).toContain('Hello?');
    expect(storage.texts()).toContain('Hello?');
    // The page is closed. A minute later, the next one sends the message.
    first.leave();
    vi.advanceTimersByTime(60_000);
    const second = open();
    const end = await second.until(
      (state) => isDone(state) && state.messages.length === 2 && storage.texts() === '',
    );
    expect(linesOf(end)).toEqual(['HUMAN Hello?', 'AI echo: Hello?']);
    const admin = await createViewer(server, { ...owner, owner: 'ada', role: 'admin' });
    const { thread } = await admin.client.gql(RUNS, { id: threadId });
    expect(thread?.runs.totalCount).toBe(1);
  });
});

describe('a store whose server is killed', { timeout: SEVERAL_STARTS_MS }, () => {
  it('drops the half answer of the first attempt, and has the answer of the second once', async ({
    ownDatabase,
    startProcess,
  }) => {
    const PORT = String(await freePort());
    const first = await startProcess(ownDatabase, { PORT });
    const gate = createGate();
    const thread = openThread(`http://127.0.0.1:${PORT}/graphql`, 'halves');
    await thread.store.send(halves(gate));
    const half = await thread.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    await first.end('SIGKILL');
    await thread.until(({ connection }) => connection === 'reconnecting');
    expect(thread.now().messages).toEqual(half.messages);

    const runId = half.runs[0]?.id ?? '';
    await queryDirectly(
      ownDatabase,
      sql`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "id" = ${runId}`,
    );
    await startProcess(ownDatabase, { PORT });
    await thread.until(({ runs }) => runs[0]?.attempt === 2);
    await thread.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    await gate.open();
    const end = await thread.until(isDone);
    expect(linesOf(end)).toEqual(HALVES);
    expect(end.lastRun).toMatchObject({ id: runId, status: 'SUCCESS', attempt: 2 });
    // No state between had both half answers.
    for (const { messages } of thread.seen) {
      expect(messages.filter(({ text }) => text === FIRST_HALF).length).toBeLessThan(2);
    }
  });
});
