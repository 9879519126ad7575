import { once } from 'node:events';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  type GraphqlResult,
  type TestApp,
} from './support/app.ts';

type Refusal = NonNullable<GraphqlResult['errors']>[number];
type Variables = Record<string, unknown>;

// What there is; nothing here changes it.
const ASSISTANT_ID = '01900000-0000-7000-8000-00000000000a';
const THREAD_ID = '01900000-0000-7000-8000-00000000000b';
const OTHER_THREAD_ID = '01900000-0000-7000-8000-00000000000c';
/** Of a graph that is not served any more. */
const STRANDED_ID = '01900000-0000-7000-8000-00000000000d';
/** What there is not. */
const UNKNOWN_ID = '01900000-0000-7000-8000-00000000000f';

const MALFORMED_IDS = [
  '',
  'x',
  `{${UNKNOWN_ID}}`,
  UNKNOWN_ID.replaceAll('-', ''),
  `${UNKNOWN_ID}0`,
];
const CREATE_ASSISTANT = `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { id } }`;
const UPDATE_ASSISTANT = `mutation ($id: ID = "${ASSISTANT_ID}", $input: UpdateAssistantInput = {}) {
  updateAssistant(id: $id, input: $input) { version }
}`;

let server: TestApp;
let socket: ReturnType<typeof createClient>;
let socketsOpened = 0;
let socketsClosed = 0;
beforeAll(async () => {
  server = await createTestApp();
  socket = createClient({
    url: `${server.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    lazy: false,
    on: { opened: () => socketsOpened++, closed: () => socketsClosed++ },
  });
  await server.gql(CREATE_ASSISTANT, { input: { id: ASSISTANT_ID, graphId: 'echo' } });
  await server.gql(UPDATE_ASSISTANT);
  await server.gql(CREATE_ASSISTANT, { input: { id: STRANDED_ID, graphId: 'echo' } });
  // What a server finds that was started without the graph.
  for (const [table, key] of [
    ['Assistant', 'id'],
    ['AssistantVersion', 'assistantId'],
  ]) {
    const gone = `UPDATE "${table}" SET "graphId" = 'gone' WHERE "${key}" = $1`;
    await server.app.sql.query(gone, [STRANDED_ID]);
  }
  for (const threadId of [THREAD_ID, OTHER_THREAD_ID]) {
    await server.gql(CREATE_THREAD, { input: { id: threadId } });
    const input = { threadId, assistantId: ASSISTANT_ID, input: human('hello') };
    await server.gql(CREATE_RUN, { input, wait: true });
  }
});
afterAll(async () => {
  await socket.dispose();
  await server.stop();
});

/** One socket for the whole file: no request may close it. */
async function sendOverWebSocket(query: string, variables: Variables): Promise<GraphqlResult> {
  const answers = socket.iterate({ query, variables });
  try {
    return (await answers.next()).value;
  } catch (refused) {
    if (!Array.isArray(refused)) throw refused;
    return { data: undefined, errors: refused };
  } finally {
    await answers.return?.();
  }
}

const send = {
  HTTP: (query: string, variables: Variables) => server.request(query, variables),
  WebSocket: sendOverWebSocket,
};
type Transport = keyof typeof send;
const TRANSPORTS: Transport[] = ['HTTP', 'WebSocket'];

/** How many of everything there are. */
async function countRows(): Promise<unknown> {
  const tables = ['Assistant', 'AssistantVersion', 'Thread', 'Run', 'Checkpoint', 'ChannelValue'];
  const counts = tables.map((table) => `(SELECT count(*)::int FROM "${table}") AS "${table}"`);
  const [row] = await server.app.sql.query(`SELECT ${counts.join(', ')}`);
  return row;
}

/** Sends what must be refused; gives the one error. Nothing is left of it, and the server still answers. */
async function refusalOf(
  transport: Transport,
  document: string,
  variables: Variables = {},
): Promise<Refusal> {
  const before = await countRows();
  const { data, errors } = await send[transport](document, variables);
  const what = `${document} ${JSON.stringify(variables).slice(0, 500)}`;
  expect(errors, `${what} gave ${JSON.stringify(data)}`).toHaveLength(1);
  const [refusal] = errors as [Refusal];
  expect(refusal.extensions['code'], `${refusal.message}: ${what}`).not.toBe(
    'INTERNAL_SERVER_ERROR',
  );
  expect(await countRows(), what).toEqual(before);
  expect(await send[transport]('{ graph(id: "echo") { id } }', {})).toEqual({
    data: { graph: { id: 'echo' } },
  });
  return refusal;
}

interface Case {
  what: string;
  document: string;
  variables?: Variables;
  code: string;
  /** Undefined where GraphQL itself refuses the request, or where no argument is wrong. */
  argument?: string;
  message: RegExp;
}

/** Each case in a test of its own, over HTTP and over WebSocket. */
function itIsRefused(cases: Case[]): void {
  const each = cases.flatMap((one) =>
    TRANSPORTS.map((transport) => [one.what, transport, one] as const),
  );
  it.each(each)('is refused: %s, over %s', async (_what, transport, expected) => {
    const { document, variables, code, argument, message } = expected;
    const refusal = await refusalOf(transport, document, variables);
    expect(refusal.message).toMatch(message);
    expect(refusal.extensions).toEqual(argument === undefined ? { code } : { code, argument });
  });
}

const badInput = (argument: string) => ({ code: 'BAD_USER_INPUT', argument });

/** Every argument that takes an id, in a document with the variable `id`. */
const ID_ARGUMENTS: [argument: string, selection: string][] = [
  ['id', '{ node(id: $id) { id } }'],
  ['id', '{ thread(id: $id) { id } }'],
  ['id', '{ run(id: $id) { id } }'],
  ['filter.ids[0]', '{ assistants(filter: { ids: [$id] }) { totalCount } }'],
  ['filter.ids[0]', '{ threads(filter: { ids: [$id] }) { totalCount } }'],
  ['filter.ids[0]', '{ runs(filter: { ids: [$id] }) { totalCount } }'],
  ['filter.threadId', '{ runs(filter: { threadId: $id }) { totalCount } }'],
  ['checkpointId', `{ thread(id: "${THREAD_ID}") { state(checkpointId: $id) { step } } }`],
  ['olderThan', `{ thread(id: "${THREAD_ID}") { history(olderThan: $id) { totalCount } } }`],
  [
    'filter.runId',
    `{ thread(id: "${THREAD_ID}") { history(filter: { runId: $id }) { totalCount } } }`,
  ],
  ['input.id', 'mutation createAssistant(input: { id: $id, graphId: "echo" }) { id }'],
  ['input.id', 'mutation createThread(input: { id: $id }) { id }'],
  ['id', 'mutation copyThread(id: $id) { id }'],
  ['id', 'mutation updateThread(id: $id, input: { metadata: {} }) { id }'],
  ['id', 'mutation deleteThread(id: $id)'],
  ['input.threadId', 'mutation createRun(input: { threadId: $id, assistantId: "echo" }) { id }'],
  ['runId', 'subscription runEvents(runId: $id) { id }'],
  ['threadId', 'subscription threadEvents(threadId: $id) { id }'],
];

/** Those that take a graph's name, too. */
const ASSISTANT_ID_ARGUMENTS: [argument: string, selection: string][] = [
  ['id', '{ assistant(id: $id) { id } }'],
  ['id', 'mutation updateAssistant(id: $id, input: {}) { id }'],
  ['id', 'mutation setAssistantVersion(id: $id, version: 1) { id }'],
  ['id', 'mutation deleteAssistant(id: $id)'],
  ['filter.assistantId', '{ runs(filter: { assistantId: $id }) { totalCount } }'],
  ['input.assistantId', 'mutation createRun(input: { assistantId: $id }) { id }'],
];

/** `query ($id: ID!) { … }` of `{ … }`, and `mutation ($id: ID!) { … }` of `mutation …`. */
function withId(selection: string): string {
  const [, operation, fields] = /^(mutation|subscription) (.+)$/.exec(selection) ?? [];
  return operation ? `${operation} ($id: ID!) { ${fields} }` : `query ($id: ID!) ${selection}`;
}

/** Each argument in a test of its own, with every malformed id. */
function itIsRefusedIn(idArguments: typeof ID_ARGUMENTS, message: RegExp): void {
  const each = idArguments.flatMap(([argument, selection]) =>
    TRANSPORTS.map((transport) => [selection, transport, argument] as const),
  );
  it.each(each)('is refused: %s, over %s', async (selection, transport, argument) => {
    for (const id of MALFORMED_IDS) {
      const refusal = await refusalOf(transport, withId(selection), { id });
      expect(refusal.extensions, id).toEqual(badInput(argument));
      expect(refusal.message).toMatch(message);
    }
  });
}

describe('An id that is no UUID', () => {
  itIsRefusedIn(ID_ARGUMENTS, /^[\w.[\]]+ is not a UUID\.$/);
});

describe('An id that is neither a UUID nor the name of a graph', () => {
  itIsRefusedIn(
    ASSISTANT_ID_ARGUMENTS,
    /^[\w.]+ is neither a UUID nor the name of a graph; the graphs are: agent, echo, /,
  );
});

describe('An id that nothing has', () => {
  const subject: Record<string, string> = {
    assistant: 'Assistant',
    updateAssistant: 'Assistant',
    deleteAssistant: 'Assistant',
    setAssistantVersion: 'Assistant',
    runEvents: 'Run',
  };
  const asked = [...ID_ARGUMENTS, ...ASSISTANT_ID_ARGUMENTS].filter(
    ([argument, selection]) => argument !== 'input.id' && !selection.startsWith('{'),
  );
  itIsRefused(
    asked.map(([argument, selection]) => {
      const field = /^\w+ (\w+)/.exec(selection)?.[1] ?? '';
      const kind = argument === 'input.assistantId' ? 'Assistant' : (subject[field] ?? 'Thread');
      return {
        what: selection,
        document: withId(selection),
        variables: { id: UNKNOWN_ID },
        code: 'NOT_FOUND',
        message: new RegExp(`^${kind} ${UNKNOWN_ID} does not exist\\.$`),
      };
    }),
  );

  it.each(TRANSPORTS)('is null, or an empty list, in queries over %s', async (transport) => {
    const answer = await send[transport](
      `query ($id: ID!) {
        node(id: $id) { id }
        assistant(id: $id) { id }
        thread(id: $id) { id }
        run(id: $id) { id }
        graph(id: "nope") { id }
        assistants(filter: { ids: [$id] }) { totalCount nodes { id } }
        ofNoGraph: assistants(filter: { graphId: "nope" }) { totalCount nodes { id } }
        threads(filter: { ids: [$id] }) { totalCount nodes { id } }
        runs(filter: { threadId: $id, assistantId: $id }) { totalCount nodes { id } }
        state: thread(id: "${THREAD_ID}") { state(checkpointId: $id) { step } }
      }`,
      { id: UNKNOWN_ID },
    );
    const none = { totalCount: 0, nodes: [] };
    expect(answer).toEqual({
      data: {
        node: null,
        assistant: null,
        thread: null,
        run: null,
        graph: null,
        assistants: none,
        ofNoGraph: none,
        threads: none,
        runs: none,
        state: { state: null },
      },
    });
  });

  itIsRefused([
    {
      what: 'a history of what is older than no checkpoint of the thread',
      document: `{ thread(id: "${THREAD_ID}") { history(olderThan: "${UNKNOWN_ID}") { totalCount } } }`,
      ...badInput('olderThan'),
      message: /is not a checkpoint of this thread/,
    },
  ]);
});

describe('An id that is taken', () => {
  const create = (field: string, input: string) =>
    `mutation { ${field}(input: { ${input} }) { id } }`;
  const taken = (document: string) => ({
    what: document,
    document,
    code: 'CONFLICT',
    message: /^The id [\da-f-]+ is taken\.$/,
  });
  itIsRefused([
    taken(create('createAssistant', `id: "${ASSISTANT_ID}", graphId: "echo"`)),
    taken(create('createAssistant', `id: "${THREAD_ID}", graphId: "echo"`)),
    taken(create('createAssistant', `id: "${THREAD_ID}", graphId: "echo", ifExists: DO_NOTHING`)),
    taken(create('createThread', `id: "${THREAD_ID}"`)),
    taken(create('createThread', `id: "${ASSISTANT_ID}"`)),
    taken(create('createThread', `id: "${ASSISTANT_ID}", ifExists: DO_NOTHING`)),
    taken(
      create(
        'createThread',
        `id: "${THREAD_ID}", graphId: "strict", supersteps: [{ updates: [{ values: { count: 1 } }] }]`,
      ),
    ),
  ]);
});

describe('A graph or node that there is not, or that cannot be made', () => {
  const supersteps = [{ updates: [{ values: human('hello'), asNode: '__input__' }] }];
  const atNode = (asNode: string) => [...supersteps, { updates: [{ asNode }] }];
  const goto = [{ updates: [{ asNode: 'echo', command: { goto: [{ node: 'nope' }] } }] }];
  itIsRefused([
    {
      what: 'an assistant of it',
      document: CREATE_ASSISTANT,
      variables: { input: { graphId: 'nope' } },
      ...badInput('input.graphId'),
      message: /no graph "nope".*agent, echo/,
    },
    {
      what: 'an assistant that changes to it',
      document: UPDATE_ASSISTANT,
      variables: { input: { graphId: 'nope', name: 'new' } },
      ...badInput('input.graphId'),
      message: /no graph "nope".*agent, echo/,
    },
    {
      what: 'a run of an assistant that has it',
      document: CREATE_RUN,
      variables: { input: { assistantId: STRANDED_ID } },
      ...badInput('input.assistantId'),
      message: /runs the graph "gone", which is not served any more/,
    },
    {
      what: 'an assistant that goes back to it',
      document: `mutation { setAssistantVersion(id: "${STRANDED_ID}", version: 1) { id } }`,
      ...badInput('version'),
      message: /no graph "gone".*agent, echo/,
    },
    {
      what: 'a thread of it',
      document: CREATE_THREAD,
      variables: { input: { graphId: 'nope', supersteps } },
      ...badInput('input.graphId'),
      message: /no graph "nope".*agent, echo/,
    },
    {
      what: 'supersteps of one whose function throws',
      document: CREATE_THREAD,
      variables: { input: { graphId: 'broken', supersteps } },
      ...badInput('input.graphId'),
      message: /"broken" cannot be made: No graph today\./,
    },
    {
      what: 'supersteps without a graph',
      document: CREATE_THREAD,
      variables: { input: { supersteps } },
      ...badInput('input.graphId'),
      message: /need the graphId/,
    },
    {
      what: 'an update as it',
      document: CREATE_THREAD,
      variables: { input: { graphId: 'echo', supersteps: atNode('nope') } },
      ...badInput('input.supersteps[1].updates[0]'),
      message: /Superstep 2, update 1: there is no node "nope".*echo/,
    },
    {
      what: 'a command that goes to it',
      document: CREATE_THREAD,
      variables: { input: { graphId: 'echo', supersteps: goto } },
      ...badInput('input.supersteps[0].updates[0]'),
      message: /Superstep 1, update 1: there is no node "nope".*echo/,
    },
  ]);
});

describe('A list of supersteps', () => {
  const create = (supersteps: unknown) => ({
    document: CREATE_THREAD,
    variables: { input: { graphId: 'echo', supersteps } },
  });
  const input = { updates: [{ values: human('hello'), asNode: '__input__' }] };
  itIsRefused([
    {
      what: 'an empty one',
      ...create([]),
      ...badInput('input.supersteps'),
      message: /is 0; it must be from 1 to 100/,
    },
    {
      what: 'one of 101',
      ...create(Array.from({ length: 101 }, () => input)),
      ...badInput('input.supersteps'),
      message: /is 101; it must be from 1 to 100/,
    },
    {
      what: 'one with an empty superstep',
      ...create([input, { updates: [] }]),
      ...badInput('input.supersteps[1].updates'),
      message: /is 0; it must be from 1 to 100/,
    },
    {
      what: 'one with a superstep of 101 updates',
      ...create([{ updates: Array.from({ length: 101 }, () => input.updates[0]) }]),
      ...badInput('input.supersteps[0].updates'),
      message: /is 101; it must be from 1 to 100/,
    },
    {
      what: 'one with an update of both values and command',
      ...create([{ updates: [{ values: {}, command: { update: {} } }] }]),
      ...badInput('input.supersteps[0].updates[0]'),
      message: /Superstep 1, update 1: .*not both/,
    },
    {
      what: 'one with an update that its graph refuses, after one that it takes',
      ...create([input, { updates: [{ values: 5, asNode: 'echo' }] }]),
      ...badInput('input.supersteps[1].updates[0]'),
      message: /^Superstep 2, update 1: /,
    },
  ]);
});

describe('A page', () => {
  const within = (parent: string, field: string) => `${parent} { ${field} }`;
  const inAssistant = `assistant(id: "${ASSISTANT_ID}")`;
  const inThread = `thread(id: "${THREAD_ID}")`;
  const page = '(first: $first, after: $after) { edges { cursor } }';
  const bothWays =
    '(first: $first, after: $after, last: $last, before: $before) { edges { cursor } }';
  /** Every connection, and what its cursors say: a time and an id, a number, or an event. */
  const CONNECTIONS = [
    { name: 'assistants', cursors: 'time', selection: `assistants${bothWays}` },
    { name: 'threads', cursors: 'time', selection: `threads${bothWays}` },
    { name: 'runs', cursors: 'number', selection: `runs${page}` },
    {
      name: 'Assistant.versions',
      cursors: 'number',
      selection: within(inAssistant, `versions${page}`),
    },
    { name: 'Thread.runs', cursors: 'number', selection: within(inThread, `runs${page}`) },
    { name: 'Thread.history', cursors: 'number', selection: within(inThread, `history${page}`) },
    {
      name: 'Run.events',
      cursors: 'event',
      selection: within(inThread, `runs { nodes { events${page} } }`),
    },
  ];
  const documentOf = (selection: string) =>
    selection.includes('$last')
      ? `query ($first: Int, $after: String, $last: Int, $before: String) { ${selection} }`
      : `query ($first: Int, $after: String) { ${selection} }`;

  itIsRefused(
    CONNECTIONS.flatMap(({ name, selection }) =>
      [0, -1, 101].map((first) => ({
        what: `the first ${first} ${name}`,
        document: documentOf(selection),
        variables: { first },
        ...badInput('first'),
        message: new RegExp(`^first is ${first}; it must be from 1 to 100\\.$`),
      })),
    ),
  );

  const both = CONNECTIONS.filter(({ selection }) => selection.includes('$last'));
  itIsRefused(
    both.flatMap(({ name, selection }) => [
      ...[0, -1, 101].map((last) => ({
        what: `the last ${last} ${name}`,
        document: documentOf(selection),
        variables: { last },
        ...badInput('last'),
        message: new RegExp(`^last is ${last}; it must be from 1 to 100\\.$`),
      })),
      {
        what: `the first and the last ${name}`,
        document: documentOf(selection),
        variables: { first: 1, last: 1 },
        ...badInput('last'),
        message: /not both/,
      },
      {
        what: `the last ${name} before what is no cursor`,
        document: documentOf(selection),
        variables: { last: 1, before: 'x' },
        ...badInput('before'),
        message: /not a cursor/,
      },
    ]),
  );

  const encode = (text: string) => Buffer.from(text).toString('base64url');
  const malformed = [
    '',
    'x',
    '☃',
    ...['', 'null', '{}', '[]', '["1"]', '[1,2]', '["a","b"]', '["1","2","3"]'].map(encode),
    ...['["\\u0000","1"]', '["99999999999999999999","1"]', `["now","${UNKNOWN_ID}x"]`].map(encode),
  ];
  const each = TRANSPORTS.flatMap((transport) => CONNECTIONS.map((one) => ({ ...one, transport })));

  it.each(each)(
    'is refused: $name after what is no cursor, over $transport',
    async ({ transport, selection, cursors }) => {
      for (const after of malformed) {
        const refusal = await refusalOf(transport, documentOf(selection), { after });
        expect(refusal.extensions).toEqual(badInput('after'));
        expect(refusal.message).toMatch(
          cursors === 'event' ? /not the id of an event/ : /not a cursor that this list gave/,
        );
      }
    },
  );

  it.each(each)(
    "is refused: $name after another kind of list's cursor, over $transport",
    async ({ transport, selection, cursors }) => {
      for (const other of CONNECTIONS.filter((one) => one.cursors !== cursors)) {
        const data = await server.gql(documentOf(other.selection));
        const after = /"cursor":"([^"]+)"/.exec(JSON.stringify(data))?.[1];
        const refusal = await refusalOf(transport, documentOf(selection), { after });
        expect(refusal.extensions, other.name).toEqual(badInput('after'));
      }
    },
  );

  it.each(TRANSPORTS)(
    "is refused: events after another thread's event, over %s",
    async (transport) => {
      const { thread } = await server.gql(
        `{ thread(id: "${OTHER_THREAD_ID}") { runs { nodes { id events { nodes { id } } } } } }`,
      );
      const after = thread.runs.nodes[0].events.nodes[0].id;
      const own = await server.gql(`{ thread(id: "${THREAD_ID}") { runs { nodes { id } } } }`);
      const runId = own.thread.runs.nodes[0].id;
      for (const document of [
        'query ($runId: ID!, $after: String) { run(id: $runId) { events(after: $after) { edges { cursor } } } }',
        'subscription ($runId: ID!, $after: ID) { runEvents(runId: $runId, after: $after) { id } }',
        `subscription ($after: ID) { threadEvents(threadId: "${THREAD_ID}", after: $after) { id } }`,
      ]) {
        const refusal = await refusalOf(transport, document, { runId, after });
        expect(refusal.message).toBe('after is the id of an event of another thread.');
        expect(refusal.extensions).toEqual(badInput('after'));
      }
    },
  );

  itIsRefused(
    [0, -1, 1001].map((last) => ({
      what: `the last ${last} messages`,
      document: `{ thread(id: "${THREAD_ID}") { messages(last: ${last}) { text } } }`,
      ...badInput('last'),
      message: /it must be from 1 to 1000/,
    })),
  );

  itIsRefused(
    ['assistants', 'threads', 'runs'].flatMap((field) =>
      [0, 101].map((size) => ({
        what: `${field} by ${size} ids`,
        document: `query ($ids: [ID!]) { ${field}(filter: { ids: $ids }) { totalCount } }`,
        variables: { ids: Array.from({ length: size }, () => UNKNOWN_ID) },
        ...badInput('filter.ids'),
        message: new RegExp(`is ${size}; it must be from 1 to 100`),
      })),
    ),
  );
});

describe('A value of another type', () => {
  const run = (input: Variables) => ({
    document: CREATE_RUN,
    variables: { input: { assistantId: 'echo', input: human('hello'), ...input } },
  });
  const byGraphql = { code: 'BAD_USER_INPUT' };
  const wrong = (config: Variables, at: string, message: RegExp): Case[] => [
    {
      what: `${JSON.stringify(config)} for an assistant's config`,
      document: CREATE_ASSISTANT,
      variables: { input: { graphId: 'echo', config } },
      ...badInput(`input.config.${at}`),
      message,
    },
    {
      what: `${JSON.stringify(config)} for an assistant's new config`,
      document: UPDATE_ASSISTANT,
      variables: { input: { config } },
      ...badInput(`input.config.${at}`),
      message,
    },
    {
      what: `${JSON.stringify(config)} for a run's config`,
      ...run({ config }),
      ...badInput(`input.config.${at}`),
      message,
    },
  ];

  itIsRefused([
    ...[1, 'text', [{}], true].flatMap((value): Case[] => [
      {
        what: `${JSON.stringify(value)} for metadata`,
        document: CREATE_THREAD,
        variables: { input: { metadata: value } },
        ...byGraphql,
        message: /input\.metadata.*Expected a JSON object/,
      },
      {
        what: `${JSON.stringify(value)} for metadata, written out`,
        document: `mutation { createThread(input: { metadata: ${JSON.stringify(value)} }) { id } }`,
        ...byGraphql,
        message: /Expected a JSON object/,
      },
      {
        what: `${JSON.stringify(value)} for a context`,
        ...run({ context: value }),
        ...byGraphql,
        message: /input\.context.*Expected a JSON object/,
      },
      {
        what: `${JSON.stringify(value)} for metadata to search`,
        document:
          'query ($metadata: JSONObject) { threads(filter: { metadata: $metadata }) { totalCount } }',
        variables: { metadata: value },
        ...byGraphql,
        message: /Expected a JSON object/,
      },
    ]),
    {
      what: 'null for metadata that are required',
      document: `mutation { updateThread(id: "${THREAD_ID}", input: { metadata: null }) { id } }`,
      ...byGraphql,
      message: /JSONObject!/,
    },
    {
      what: 'text for a number',
      document: '{ threads(first: "2") { totalCount } }',
      ...byGraphql,
      message: /Int cannot represent non-integer value/,
    },
    {
      what: 'a number that is too large',
      document: 'query ($first: Int) { threads(first: $first) { totalCount } }',
      variables: { first: 1e12 },
      ...byGraphql,
      message: /Int cannot represent/,
    },
    {
      what: 'an object for an id',
      document: 'query ($id: ID!) { thread(id: $id) { id } }',
      variables: { id: {} },
      ...byGraphql,
      message: /ID cannot represent/,
    },
    {
      what: 'no id',
      document: 'query ($id: ID!) { thread(id: $id) { id } }',
      ...byGraphql,
      message: /"\$id" of required type "ID!" was not provided/,
    },
    {
      what: 'a value that an enum does not have',
      document: CREATE_THREAD,
      variables: { input: { ifExists: 'EXPLODE' } },
      ...byGraphql,
      message: /"EXPLODE" does not exist in "IfExists"/,
    },
    {
      what: 'a field that an input does not have',
      document: CREATE_THREAD,
      variables: { input: { metadata: {}, colour: 'red' } },
      ...byGraphql,
      message: /"colour" is not defined/,
    },
    ...wrong({ configurable: [] }, 'configurable', /must be an object/),
    ...wrong({ metadata: 'x' }, 'metadata', /must be an object/),
    ...wrong({ tags: 'x' }, 'tags', /must be a list of strings/),
    ...wrong({ tags: [1] }, 'tags', /must be a list of strings/),
    ...wrong({ recursion_limit: 'many' }, 'recursion_limit', /must be a whole number from 1/),
    ...wrong({ recursion_limit: 0 }, 'recursion_limit', /must be a whole number from 1/),
    ...wrong(
      { configurable: { checkpoint_id: 'x' } },
      'configurable.checkpoint_id',
      /not a client's to set/,
    ),
    ...wrong(
      { configurable: { __pregel_send: 1 } },
      'configurable.__pregel_send',
      /not a client's to set/,
    ),
    {
      what: 'a name of 256 characters',
      document: CREATE_ASSISTANT,
      variables: { input: { graphId: 'echo', name: 'x'.repeat(256) } },
      ...badInput('input.name'),
      message: /longer than 255/,
    },
    ...[{ count: 'one' }, { count: null }, 'text', [1]].map((input) => ({
      what: `an input that the graph's schema refuses: ${JSON.stringify(input)}`,
      ...run({ assistantId: 'strict', input }),
      ...badInput('input.input'),
      message: /^The graph "strict" refuses this input: /,
    })),
    {
      what: "an input that the graph's schema refuses, on a thread",
      ...run({ assistantId: 'strict', input: { count: 'one' }, threadId: THREAD_ID }),
      ...badInput('input.input'),
      message: /^The graph "strict" refuses this input: .*number/s,
    },
  ]);
});

describe('What cannot be stored', () => {
  const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)]);
  const bad: [what: string, value: unknown, message: RegExp][] = [
    ['a null byte', 'a\0b', /holds a null byte/],
    ['half of a surrogate pair', 'a\ud83d', /holds half of a surrogate pair/],
    ['the other half of a surrogate pair', '\ude00a', /holds half of a surrogate pair/],
  ];
  const deep: (typeof bad)[number] = [
    'more than 100 levels',
    nested(100),
    /deeper than 100 levels/,
  ];
  const supersteps = (value: unknown) => [{ updates: [{ values: { messages: value } }] }];

  itIsRefused([
    ...bad.flatMap(([what, value, message]): Case[] => [
      {
        what: `${what} in an id`,
        document: 'query ($id: ID!) { node(id: $id) { id } }',
        variables: { id: value },
        ...badInput('id'),
        message,
      },
      {
        what: `${what} in the id that a subscription names`,
        document: 'subscription ($id: ID!) { runEvents(runId: $id) { id } }',
        variables: { id: value },
        ...badInput('runId'),
        message,
      },
      {
        what: `${what} in a name`,
        document: CREATE_ASSISTANT,
        variables: { input: { graphId: 'echo', name: value } },
        ...badInput('input.name'),
        message,
      },
      {
        what: `${what} in a description`,
        document: UPDATE_ASSISTANT,
        variables: { input: { description: value } },
        ...badInput('input.description'),
        message,
      },
      {
        what: `${what} in a graph's name`,
        document: 'query ($id: ID!) { graph(id: $id) { id } }',
        variables: { id: value },
        ...badInput('id'),
        message,
      },
      {
        what: `${what} in a cursor`,
        document: 'query ($after: String) { threads(after: $after) { totalCount } }',
        variables: { after: value },
        ...badInput('after'),
        message,
      },
      {
        what: `${what} in a key`,
        document: CREATE_THREAD,
        variables: { input: { metadata: { a: { [String(value)]: 1 } } } },
        ...badInput('input.metadata.a'),
        message,
      },
    ]),
    ...[...bad, deep].flatMap(([what, value, message]): Case[] => {
      // Levels are counted over the whole argument, so it is the argument that is too deep.
      const at = (argument: string, rest: string) =>
        badInput(value === deep[1] ? argument : `${argument}${rest}`);
      return [
        {
          what: `${what} in an assistant's metadata`,
          document: CREATE_ASSISTANT,
          variables: { input: { graphId: 'echo', metadata: { a: value } } },
          ...at('input.metadata', '.a'),
          message,
        },
        {
          what: `${what} in an assistant's config`,
          document: UPDATE_ASSISTANT,
          variables: { input: { config: { configurable: { a: value } } } },
          ...at('input.config', '.configurable.a'),
          message,
        },
        {
          what: `${what} in a thread's metadata`,
          document: `mutation ($metadata: JSONObject!) {
            updateThread(id: "${THREAD_ID}", input: { metadata: $metadata }) { id }
          }`,
          variables: { metadata: { a: [{ b: value }] } },
          ...at('input.metadata', '.a[0].b'),
          message,
        },
        {
          what: `${what} in an update`,
          document: CREATE_THREAD,
          variables: { input: { graphId: 'echo', supersteps: supersteps(value) } },
          ...at('input.supersteps[0].updates[0].values', '.messages'),
          message,
        },
        {
          what: `${what} in a run's input`,
          document: CREATE_RUN,
          variables: { input: { assistantId: 'echo', input: { messages: [value] } } },
          ...at('input.input', '.messages[0]'),
          message,
        },
        {
          what: `${what} in metadata to search`,
          document:
            'query ($metadata: JSONObject) { runs(filter: { metadata: $metadata }) { totalCount } }',
          variables: { metadata: { a: value } },
          ...at('filter.metadata', '.a'),
          message,
        },
      ];
    }),
  ]);
});

describe('A document', () => {
  const byGraphql = { code: 'BAD_USER_INPUT' };
  itIsRefused([
    { what: 'one that is empty', document: '', ...byGraphql, message: /./ },
    {
      what: 'one that ends too soon',
      document: '{ threads {',
      ...byGraphql,
      message: /Syntax Error/,
    },
    { what: 'one that is prose', document: 'hello, server', ...byGraphql, message: /Syntax Error/ },
    {
      what: 'one that asks for a field that there is not',
      document: '{ threds { totalCount } }',
      ...byGraphql,
      message: /Cannot query field "threds"/,
    },
    {
      what: 'one that does something else that is fine beside it',
      document: 'mutation { createThread { id } createThred { id } }',
      ...byGraphql,
      message: /Cannot query field "createThred"/,
    },
    {
      what: 'one that nests too deep',
      document: '{ a'.repeat(300) + ' }'.repeat(300),
      ...byGraphql,
      message: /^Query depth limit of 15 exceeded, found 300\./,
    },
    {
      what: 'one that is too long',
      document: `{ ${'a '.repeat(10_001)} }`,
      ...byGraphql,
      message: /^Token limit of 5000 exceeded\./,
    },
    {
      what: 'one of two operations, without the name of one',
      document: 'query A { __typename } query B { __typename }',
      ...byGraphql,
      message: /Could not determine what operation to execute/,
    },
  ]);
});

describe('A request', () => {
  const TOO_LARGE = 'x'.repeat(1_100_000);

  it('larger than 1 MiB is refused with 413 over HTTP, and leaves nothing', async () => {
    const before = await countRows();
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        query: CREATE_THREAD,
        variables: { input: { metadata: { text: TOO_LARGE } } },
      }),
    });
    expect(response.status).toBe(413);
    expect(await response.json()).toEqual({
      errors: [
        {
          message: 'The body is larger than 1048576 bytes.',
          extensions: { code: 'PAYLOAD_TOO_LARGE' },
        },
      ],
    });
    expect(await countRows()).toEqual(before);
  });

  it.each([
    '{"query":1}',
    '{"query":"{ __typename }","variables":"x"}',
    '{"query":"{ __typename }","variables":[1]}',
    '{"query":"{ __typename }","operationName":"nope"}',
    '{"query":"{ __typename }","operationName":1}',
  ])('of other types than GraphQL over HTTP has is a client error: %s', async (body) => {
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      errors: [
        expect.objectContaining({
          message: expect.stringMatching(/./) as string,
          extensions: { code: 'BAD_USER_INPUT' },
        }),
      ],
    });
  });

  /** A socket that has said hello, to send what no client would. */
  async function openSocket(): Promise<WebSocket> {
    const raw = new WebSocket(
      `${server.url.replace('http', 'ws')}/graphql`,
      'graphql-transport-ws',
    );
    await once(raw, 'open');
    raw.send('{"type":"connection_init"}');
    await once(raw, 'message');
    return raw;
  }

  const subscribe = (payload: string) => `{"id":"1","type":"subscribe","payload":${payload}}`;

  it('larger than 1 MiB closes its WebSocket alone, and leaves nothing', async () => {
    const before = await countRows();
    const raw = await openSocket();
    const variables = { input: { metadata: { text: TOO_LARGE } } };
    raw.send(subscribe(JSON.stringify({ query: CREATE_THREAD, variables })));
    expect((await once(raw, 'close'))[0]).toBe(1009);
    expect(await countRows()).toEqual(before);
  });

  it.each([
    'no JSON',
    '[]',
    '{"type":"nope"}',
    subscribe('{}'),
    subscribe('{"query":1}'),
    subscribe('{"query":"{ __typename }","variables":"x"}'),
  ])('that the protocol does not know closes its WebSocket alone: %s', async (message) => {
    const raw = await openSocket();
    raw.send(message);
    const [code, reason] = await once(raw, 'close');
    expect([code, String(reason)]).toEqual([4400, expect.stringMatching(/./)]);
  });

  it('may nest deeper than any stack, and is refused', async () => {
    const before = await countRows();
    const list = '['.repeat(40_000) + ']'.repeat(40_000);
    const payload = `{"query":${JSON.stringify(CREATE_THREAD)},"variables":{"input":{"metadata":{"a":${list}}}}}`;
    const raw = await openSocket();
    raw.send(subscribe(payload));
    const [message] = await once(raw, 'message');
    expect(JSON.parse(String(message)).payload.errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', argument: 'input.metadata' } },
    ]);
    raw.close();
    expect(await countRows()).toEqual(before);
  });
});

it('leaves the WebSocket open that all of this came over', () => {
  expect({ socketsOpened, socketsClosed }).toEqual({ socketsOpened: 1, socketsClosed: 0 });
});
