import { describe, expect, inject } from 'vitest';
import { human, randomId, until } from './support/app.ts';
import { summaryOf, type RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate, startAtGate } from './support/gates.ts';
import { operation, type AnswerTo } from './support/graphql.ts';
import { collect } from './support/streams.ts';

const STREAM = operation(`
  subscription Stream($input: CreateRunInput!, $after: ID, $modes: [StreamMode!]) {
    streamRun(input: $input, after: $after, modes: $modes) {
      __typename
      id
      runId
      ... on RunStartedEvent { attempt }
      ... on UpdatesEvent { node }
      ... on MessagesEvent { message { text } }
      ... on RunFinishedEvent { status }
    }
  }
`);
type StreamedEvent = AnswerTo<typeof STREAM>['streamRun'];

const echo = (input: Partial<RunInput> = {}): RunInput => ({
  assistantId: 'echo',
  input: human('hello'),
  idempotencyKey: randomId(),
  ...input,
});

describe('streamRun', () => {
  it.for(['websocket', 'sse'] as const)(
    'creates a run and sends the same events as runEvents, to the last (%s)',
    async (transport, { client }) => {
      const threadId = await client.createThread();
      const events: StreamedEvent[] = [];
      const answers = client.subscribe(STREAM, { input: echo({ threadId }) }, transport);
      for await (const { streamRun } of answers) events.push(streamRun);
      expect(events.at(0)).toMatchObject({ __typename: 'RunStartedEvent' });
      expect(events.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'SUCCESS' });
      const followed = await client.follow(String(events[0]?.runId));
      expect(events.map(({ id }) => id)).toEqual(followed.map(({ id }) => id));
      expect((await client.getThread(threadId)).runs.totalCount).toBe(1);
    },
  );

  it('sends all events of a run that waits behind another run of its thread', async ({
    client,
  }) => {
    const { gate, threadId } = await startAtGate(client);
    const streamed = collect(client.subscribe(STREAM, { input: echo({ threadId }) }));
    await until(async () => (await client.getThread(threadId)).runs.totalCount === 2);
    await gate.open();
    await streamed.ended;
    const events = streamed.seen.map(({ streamRun }) => streamRun);
    const followed = await client.follow(String(events[0]?.runId));
    expect(events.at(0)).toMatchObject({ __typename: 'RunStartedEvent' });
    expect(events.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'SUCCESS' });
    expect(events.map(({ id }) => id)).toEqual(followed.map(({ id }) => id));
  });

  it.runIf(inject('database') === 'postgres')(
    'sends all events of a run that another process executes',
    async ({ client, database, startServer }) => {
      const { client: other } = await startServer({ workerConcurrency: 0 }, database);
      const threadId = await client.createThread();
      await client.runToEnd({ assistantId: 'echo', threadId, input: human('before') });
      const streamed = collect(other.subscribe(STREAM, { input: echo({ threadId }) }));
      await streamed.ended;
      const events = streamed.seen.map(({ streamRun }) => streamRun);
      const followed = await client.follow(String(events[0]?.runId));
      expect(events.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'SUCCESS' });
      expect(events.map(({ id }) => id)).toEqual(followed.map(({ id }) => id));
    },
  );

  it('follows the run of the first request when a client subscribes again, after its last event', async ({
    client,
  }) => {
    const gate = createGate();
    const input = echo({ assistantId: 'halves', input: { file: gate.file } });
    const first = client.subscribe(STREAM, { input, modes: ['MESSAGES', 'UPDATES'] });
    const started = (await first.next()).value?.streamRun;
    await first.return?.();

    const rest = collect(client.subscribe(STREAM, { input, after: started?.id ?? '' }));
    const whole = collect(client.subscribe(STREAM, { input }));
    await gate.open();
    await Promise.all([rest.ended, whole.ended]);
    const idsOf = (answers: { streamRun: StreamedEvent }[]) =>
      answers.map(({ streamRun }) => streamRun.id);
    expect(idsOf(whole.seen)[0]).toBe(started?.id);
    expect(idsOf(rest.seen)).toEqual(idsOf(whole.seen).slice(1));
  });

  it('creates one run for many clients with one key', async ({ client }) => {
    const input = echo({ threadId: await client.createThread() });
    const readers = Array.from({ length: 10 }, () => collect(client.subscribe(STREAM, { input })));
    await Promise.all(readers.map(({ ended }) => ended));
    const runIds = readers.flatMap(({ seen }) => seen.map(({ streamRun }) => streamRun.runId));
    expect(new Set(runIds).size).toBe(1);
    expect((await client.getThread(String(input.threadId))).runs.totalCount).toBe(1);
  });

  it('lets the run go on when its client leaves', async ({ client }) => {
    const gate = createGate();
    const answers = client.subscribe(STREAM, {
      input: echo({ assistantId: 'halves', input: { file: gate.file } }),
    });
    const runId = String((await answers.next()).value?.streamRun.runId);
    await answers.return?.();
    await gate.open();
    expect((await client.follow(runId)).map(summaryOf).at(-1)).toBe('RunFinishedEvent SUCCESS');
  });

  it('ends with the refusal of a bad request, and has created nothing', async ({ client }) => {
    const threadId = await client.createThread();
    const other = await client.runToEnd({ assistantId: 'echo', input: human('x') });
    const [cursor] = await client.follow(other.id);
    const refusalOf = async (variables: { input: RunInput; after?: string }) => {
      const { ended } = collect(client.subscribe(STREAM, variables));
      const thrown = (await ended.then(
        () => expect.fail('Nothing was refused.'),
        (error: unknown) => error,
      )) as { errors: { extensions: Record<string, unknown> }[] };
      return thrown.errors[0]?.extensions;
    };
    const { idempotencyKey: _, ...keyless } = echo({ threadId });
    expect(await refusalOf({ input: keyless })).toMatchObject({
      code: 'BAD_USER_INPUT',
      argument: 'input.idempotencyKey',
    });
    expect(await refusalOf({ input: echo({ threadId }), after: String(cursor?.id) })).toMatchObject(
      {
        code: 'BAD_USER_INPUT',
        argument: 'after',
      },
    );
    expect(await refusalOf({ input: echo({ threadId, assistantId: 'none' }) })).toMatchObject({
      code: 'BAD_USER_INPUT',
      argument: 'input.assistantId',
    });
    expect((await client.getThread(threadId)).runs.totalCount).toBe(0);
  });

  it('is a CONFLICT for a key that belongs to another input', async ({ client }) => {
    const input = echo();
    await collect(client.subscribe(STREAM, { input })).ended;
    const again = collect(client.subscribe(STREAM, { input: { ...input, input: human('other') } }));
    await expect(again.ended).rejects.toMatchObject({
      errors: [{ extensions: { code: 'CONFLICT' } }],
    });
  });

  it('refuses a cursor of another thread for a run that exists', async ({ client }) => {
    const [input, other] = [echo(), echo()];
    await collect(client.subscribe(STREAM, { input })).ended;
    const { seen, ended } = collect(client.subscribe(STREAM, { input: other }));
    await ended;
    const after = String(seen[0]?.streamRun.id);
    await expect(collect(client.subscribe(STREAM, { input, after })).ended).rejects.toMatchObject({
      errors: [{ extensions: { code: 'BAD_USER_INPUT', argument: 'after' } }],
    });
  });

  it('is refused with GET, which must change nothing', async ({ server, client }) => {
    const threadId = await client.createThread();
    const url = new URL(`${server.url}/graphql`);
    url.searchParams.set(
      'query',
      `subscription { streamRun(input: {
        threadId: "${threadId}", assistantId: "echo", idempotencyKey: "${randomId()}"
      }) { id } }`,
    );
    const response = await fetch(url, { headers: { accept: 'text/event-stream' } });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
    expect(await response.text()).toContain('send it with POST');
    expect((await client.getThread(threadId)).runs.totalCount).toBe(0);
  });
});
