import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { isInputObjectType } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { raw, sql } from '../src/db/sql.ts';
import { schema } from '../src/graphql/index.ts';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  until,
  type GraphqlResult,
  type TestApp,
} from './support/app.ts';
import {
  anyRequestOf,
  badRequestOf,
  operationsOf,
  write,
  type Known,
  type Operation,
  type Request,
} from './support/arbitrary.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] || 5);
/** The seed of the requests. The same seed repeats a run of this file. */
const SEED = Number(process.env['FUZZ_SEED'] || 2026);

type Answer = Partial<GraphqlResult>;

let server: TestApp;
let socket: Socket;
let known: Known;
let operations: Operation[];
beforeAll(async () => {
  // A client waits at most 0.2 s for a run that is due in a year.
  server = await createTestApp({ waitSeconds: 0.2 });
  socket = await openSocket();
  known = await createWhatIsKnown();
  operations = operationsOf(schema, known);
});
afterAll(async () => {
  socket.close();
  await server.stop();
});

const THREAD_ID = randomId();
const ASSISTANT_ID = randomId();

/** Creates a thread with two runs and an open question, and an assistant with two versions. */
async function createFixtures(): Promise<{ runId: string }> {
  await server.gql(CREATE_THREAD, { input: { id: THREAD_ID } });
  await runOnThread('echo', human('hello'));
  const { createRun } = await runOnThread('ask', {});
  return { runId: createRun.id };
}

async function runOnThread(assistantId: string, input: unknown): Promise<any> {
  const ran = await server.gql(CREATE_RUN, { input: { threadId: THREAD_ID, assistantId, input } });
  await settle();
  return ran;
}

/** Valid ids and names by argument. Cursors and ids of events come from every list. */
async function createWhatIsKnown(): Promise<Known> {
  await server.gql(
    `mutation ($id: ID) {
      createAssistant(input: { id: $id, graphId: "echo" }) { id }
      updateAssistant(id: "echo", input: {}) { id }
    }`,
    { id: ASSISTANT_ID },
  );
  const { runId } = await createFixtures();
  const cursors = 'edges { cursor }';
  const seen = await server.gql(
    `query ($thread: ID!, $run: ID!) {
      threads { ${cursors} } assistants { ${cursors} }
      assistant(id: "echo") { versions { ${cursors} } }
      run(id: $run) { events { ${cursors} } }
      thread(id: $thread) {
        runs { ${cursors} }
        history { ${cursors} nodes { checkpointId } }
        interrupts { id }
      }
    }`,
    { thread: THREAD_ID, run: runId },
  );
  const text = JSON.stringify(seen);
  const found = (key: string) =>
    Array.from(text.matchAll(new RegExp(`"${key}":"([^"]+)"`, 'g')), ([, value]) => value);
  const checkpoints = found('checkpointId');
  const nodes = ['echo', 'ask', '__input__', '__start__', '__end__', '__copy__'];
  const graphs = ['echo', 'ask', 'strict', 'fail', 'parallel', 'factory', 'broken', 'chat'];
  const inputs = [human('hello'), { count: 1 }, {}, null, { log: ['x'] }];
  return {
    'Thread.id': [THREAD_ID],
    'Run.id': [runId],
    // A default assistant: no request can delete it.
    'Assistant.id': ['echo'],
    'Graph.id': ['echo'],
    id: [THREAD_ID, runId, ASSISTANT_ID, 'echo', randomId()],
    ids: [THREAD_ID, runId, ASSISTANT_ID],
    threadId: [THREAD_ID],
    runId: [runId],
    assistantId: [...graphs, ASSISTANT_ID],
    graphId: graphs,
    interruptId: found('id'),
    checkpointId: checkpoints,
    olderThan: checkpoints,
    checkpointNamespace: ['', 'inner:1'],
    namespace: ['', 'inner:1'],
    after: found('cursor'),
    before: found('cursor'),
    node: nodes,
    asNode: nodes,
    interruptBefore: ['*', 'echo'],
    interruptAfter: ['*', 'echo'],
    input: inputs,
    values: inputs,
    update: inputs,
    config: [{ configurable: { a: 1 } }, { tags: ['a'], recursion_limit: 3 }, { metadata: {} }],
    idempotencyKey: ['key', 'other key'],
    version: [1, 2],
  };
}

type Transport = 'HTTP' | 'WebSocket';
const TRANSPORTS: Transport[] = ['HTTP', 'WebSocket'];

/** A running request: the first answer of a subscription, or the answer of a query or mutation. */
interface Pending {
  answer: Promise<Answer>;
  leave(): void;
}

function sendOverHttp(body: string, kind: Operation['kind']): Pending {
  const leaving = new AbortController();
  const read = async (): Promise<Answer> => {
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: kind === 'subscription' ? 'text/event-stream' : 'application/json',
      },
      body,
      signal: leaving.signal,
    });
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
    return isStream ? readFirstEvent(response) : ((await response.json()) as Answer);
  };
  return { answer: read(), leave: () => leaving.abort() };
}

async function readFirstEvent({ body }: Response): Promise<Answer> {
  let text = '';
  for await (const chunk of body ?? []) {
    text += Buffer.from(chunk).toString();
    const [, data] = /^data: (\{.*\})$/m.exec(text) ?? [];
    if (data) return JSON.parse(data) as Answer;
  }
  return {};
}

/** A graphql-transport-ws connection for messages that JSON.stringify cannot write. */
interface Socket {
  send(payload: string): Pending;
  close(): void;
}

async function openSocket(): Promise<Socket> {
  const raw = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  await once(raw, 'open');
  raw.send('{"type":"connection_init"}');
  await once(raw, 'message');
  const waiting = new Map<string, PromiseWithResolvers<Answer>>();
  raw.on('message', (data: Buffer) => {
    const { id, type, payload } = JSON.parse(data.toString());
    const answers: Record<string, Answer> = { next: payload, error: { errors: payload } };
    waiting.get(id)?.resolve(answers[type] ?? {});
  });
  raw.on('close', (code) => {
    for (const { reject } of waiting.values()) {
      reject(new Error(`The socket was closed: ${code}.`));
    }
  });
  let sent = 0;
  return {
    send(payload) {
      const id = String(++sent);
      const answer = withResolvers<Answer>();
      waiting.set(id, answer);
      raw.send(`{"id":"${id}","type":"subscribe","payload":${payload}}`);
      return {
        answer: answer.promise,
        leave() {
          waiting.delete(id);
          raw.send(`{"id":"${id}","type":"complete"}`);
        },
      };
    },
    close: () => raw.close(),
  };
}

interface PromiseWithResolvers<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: Error): void;
}

function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve: PromiseWithResolvers<T>['resolve'] = () => {};
  let reject: PromiseWithResolvers<T>['reject'] = () => {};
  const promise = new Promise<T>((settle, fail) => {
    resolve = settle;
    reject = fail;
  });
  return { promise, resolve, reject };
}

const PATIENCE_MS = 100;

/** Sends a request. An accepted subscription gets events from up to three runs. */
async function send(transport: Transport, request: Request): Promise<Answer> {
  const { query, variables } = write(request);
  const body = `{"query":${JSON.stringify(query)},"variables":${variables}}`;
  const { kind } = request.operation;
  // A message above the limit closes the socket and ends all its requests. HTTP refuses only the message.
  const isLarge = Buffer.byteLength(body) > server.app.config.bodyLimitBytes / 2;
  const { answer, leave } =
    transport === 'HTTP' || isLarge ? sendOverHttp(body, kind) : socket.send(body);
  if (kind !== 'subscription') return answer;
  try {
    for (let tries = 0; tries < 3; tries++) {
      const first = await Promise.race([answer, sleep(PATIENCE_MS)]);
      if (first) return first;
      await runOnThread('echo', human('hello'));
    }
    return {};
  } finally {
    answer.catch(() => {});
    leave();
  }
}

/** Returns the number of rows of every table. */
async function countRows(): Promise<Record<string, number>> {
  const tables = await server.app.sql.query<{ name: string }>(
    sql`SELECT "tablename" AS "name" FROM pg_tables WHERE "schemaname" = 'public' ORDER BY 1`,
  );
  const counts = tables.map(({ name }) => `(SELECT count(*)::int FROM "${name}") AS "${name}"`);
  const [row] = await server.app.sql.query<Record<string, number>>(
    sql`SELECT ${raw(counts.join(', '))}`,
  );
  return row ?? {};
}

/** Waits for the end of every accepted run. Deletes the threads of runs that are not due yet. */
async function settle(): Promise<void> {
  await until(async () => {
    const open = await server.app.sql.query<{ threadId: string; later: boolean }>(
      sql`SELECT DISTINCT "threadId", "dueAt" > now() AS "later" FROM "Run" WHERE "status" IN ('PENDING', 'RUNNING')`,
    );
    for (const { threadId, later } of open) {
      if (later) await server.request(DELETE_THREAD, { id: threadId });
    }
    return open.length === 0;
  });
}

const DELETE_THREAD = `mutation ($id: ID!) { deleteThread(id: $id) }`;
const MOST_RUNS = 20;

/** Restores the rows that an accepted request may have deleted, and shortens a long list. */
async function restore(): Promise<void> {
  await settle();
  const { thread } = await server.gql(
    `query ($id: ID!) { thread(id: $id) { runs { totalCount } } }`,
    { id: THREAD_ID },
  );
  const isLong = thread?.runs.totalCount > MOST_RUNS;
  if (isLong) await server.gql(DELETE_THREAD, { id: THREAD_ID });
  if (isLong || !thread) await createFixtures();
}

/** No request may have these codes in its answer. An error without a code is not an error of this server. */
const BUGS = ['INTERNAL_SERVER_ERROR', 'SERVICE_UNAVAILABLE', undefined];

/** Sends a request. A refusal must have a reason and a code, and must change nothing. Returns the codes. */
async function check(transport: Transport, request: Request): Promise<unknown[]> {
  const isMutation = request.operation.kind === 'mutation';
  const before = isMutation && (await countRows());
  const { errors = [] } = await send(transport, request);
  const { query, variables } = write(request);
  const what = `${transport}: ${query.slice(0, 1000)} ${variables.slice(0, 1000)}`;
  const codes = errors.map(({ extensions }) => extensions?.['code']);
  for (const code of codes) {
    expect(BUGS, `${what} gave ${JSON.stringify(errors)}`).not.toContain(code);
  }
  if (!isMutation) return codes;
  if (errors.length === 0) await restore();
  const after = errors.length === 0 ? before : await countRows();
  expect(after, what).toEqual(before);
  return codes;
}

function find(name: string): Operation {
  const found = operations.find((operation) => operation.name === name);
  if (!found) throw new Error(`There is no ${name}.`);
  return found;
}

/** Sends requests over both transports and executes a run. */
async function expectLife(): Promise<void> {
  for (const transport of TRANSPORTS) {
    const request = { operation: find('Query.graph'), args: { id: 'echo' }, inline: false };
    expect(await send(transport, request)).toMatchObject({ data: { graph: { id: 'echo' } } });
  }
  const { createRun } = await server.gql(CREATE_RUN, {
    input: { assistantId: 'echo', input: human('still there?') },
  });
  const events = await server.follow(createRun.id);
  expect(events.at(-1), JSON.stringify(events).slice(-2000)).toMatchObject({ status: 'SUCCESS' });
}

describe(`Whatever arguments are given (FUZZ_SEED=${SEED})`, () => {
  it(
    'no request breaks the server, and one that is refused leaves nothing',
    async () => {
      const requests = fc.oneof(badRequestOf(operations, known), anyRequestOf(operations, known));
      let last: Promise<unknown> = Promise.resolve();
      await fc.assert(
        fc.asyncProperty(requests, fc.constantFrom(...TRANSPORTS), async (request, transport) => {
          last = check(transport, request);
          await last;
        }),
        {
          seed: SEED,
          numRuns: 1_000_000,
          plugins: [fc.interruptAfterTimeLimit(SECONDS * 1000)],
        },
      );
      // The last request. It was running at the end of the time.
      await last;
      await expectLife();
    },
    SECONDS * 1000 + 60_000,
  );
});

describe('Arguments that do not go together, or mean nothing', () => {
  /** Returns the open question of the thread. */
  let question: string;
  beforeAll(async () => {
    await settle();
    await server.request(DELETE_THREAD, { id: THREAD_ID });
    const { runId } = await createFixtures();
    operations = operationsOf(schema, { ...known, 'Run.id': [runId] });
    const asked = `query ($id: ID!) { thread(id: $id) { interrupts { id } } }`;
    const { thread } = await server.gql(asked, { id: THREAD_ID });
    question = thread.interrupts[0].id;
  });

  const takes = (field: string) => {
    const input = schema.getType('CreateRunInput');
    return isInputObjectType(input) && field in input.getFields();
  };
  const answer = (value: unknown) => ({ interruptId: question, value });
  const onThread = (input: object) => ({ threadId: THREAD_ID, assistantId: 'ask', ...input });
  const seconds = (field: string, values: number[]) =>
    values.map((value) => ({
      what: `${field}: ${value}`,
      field,
      input: () => onThread({ [field]: value }),
    }));
  const runs = [
    {
      what: 'two answers to one question',
      field: 'command',
      input: () => onThread({ command: { resume: [answer(1), answer(2)] } }),
    },
    {
      what: 'two answers, neither of which says to what',
      field: 'command',
      input: () => onThread({ command: { resume: [{ value: 1 }, { value: 2 }] } }),
    },
    {
      what: 'a command with input',
      field: 'command',
      input: () => onThread({ input: {}, command: { resume: [answer(1)] } }),
    },
    {
      what: 'a command that says nothing',
      field: 'command',
      input: () => onThread({ command: {} }),
    },
    {
      what: 'a checkpoint without a thread',
      field: 'checkpointId',
      input: () => ({ assistantId: 'ask', checkpointId: known['checkpointId']?.[0] }),
    },
    ...seconds('afterSeconds', [-1, -Infinity, Infinity, 1e308]),
    ...seconds('timeoutSeconds', [-1, 0, -Infinity, Infinity, 1e308]),
  ].filter(({ field }) => takes(field));

  describe.each(['Mutation.createRun', 'Mutation.createRuns'])('of %s', (name) => {
    const args = (input: object): Record<string, unknown> =>
      name === 'Mutation.createRun' ? { input } : { inputs: [input] };

    it.each(runs)('are refused: $what', async ({ input }) => {
      const operation = find(name);
      for (const transport of TRANSPORTS) {
        for (const inline of [true, false]) {
          const codes = await check(transport, { operation, args: args(input()), inline });
          expect(codes, transport).toEqual(['BAD_USER_INPUT']);
        }
      }
    });
  });

  it('are refused: first with last, wherever both are taken', async () => {
    const both = operations.filter(({ args }) =>
      ['first', 'last'].every((name) => args.some((arg) => arg.name === name)),
    );
    expect(both.length).toBeGreaterThan(0);
    for (const operation of both) {
      for (const transport of TRANSPORTS) {
        const request = { operation, args: { first: 1, last: 1 }, inline: false };
        expect(await check(transport, request), operation.name).toEqual(['BAD_USER_INPUT']);
      }
    }
  });
});

describe('A request of 2 MiB', () => {
  const bodyOf = (operation: Operation) => {
    const [arg] = operation.args;
    const args = { [arg?.name ?? '']: 'x'.repeat(2 * 1024 * 1024) };
    const { query, variables } = write({ operation, args, inline: false });
    return `{"query":${JSON.stringify(query)},"variables":${variables}}`;
  };

  it('is refused over HTTP, whatever it asks for, and leaves nothing', async () => {
    const before = await countRows();
    for (const operation of operations) {
      const { errors } = await sendOverHttp(bodyOf(operation), operation.kind).answer;
      expect(errors, operation.name).toMatchObject([{ extensions: { code: 'PAYLOAD_TOO_LARGE' } }]);
    }
    expect(await countRows()).toEqual(before);
  });

  it('closes its WebSocket alone, whatever it asks for, and leaves nothing', async () => {
    const before = await countRows();
    for (const operation of operations) {
      const own = await openSocket();
      await expect(own.send(bodyOf(operation)).answer, operation.name).rejects.toThrow('1009');
    }
    expect(await countRows()).toEqual(before);
    await expectLife();
  });
});
