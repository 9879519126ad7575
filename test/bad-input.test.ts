import { describe, expect } from 'vitest';
import { human } from './support/app.ts';
import { operation } from './support/graphql.ts';
import {
  ASSISTANT_ID,
  badInput,
  DOCUMENTS,
  it,
  itIsRefused,
  itLeavesItsWebSocketOpen,
  OTHER_THREAD_ID,
  refusalOf,
  STRANDED_ID,
  THREAD_ID,
  TRANSPORTS,
  UNKNOWN_ID,
} from './support/refused-cases.ts';

const MALFORMED_IDS = [
  '',
  'x',
  `{${UNKNOWN_ID}}`,
  UNKNOWN_ID.replaceAll('-', ''),
  `${UNKNOWN_ID}0`,
];

/** All arguments for ids, in documents with the variable `id`. */
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

/** All arguments for an id or the name of a graph. */
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

/** Declares a test of each argument with all malformed ids. */
function itIsRefusedIn(idArguments: typeof ID_ARGUMENTS, message: RegExp): void {
  const each = idArguments.flatMap(([argument, selection]) =>
    TRANSPORTS.map((transport) => [selection, transport, argument] as const),
  );
  it.for(each)(
    'is refused: %s, over %s',
    async ([selection, transport, argument], { server, requests }) => {
      for (const id of MALFORMED_IDS) {
        const refusal = await refusalOf({ server, requests }, transport, withId(selection), { id });
        expect(refusal.extensions, id).toEqual(badInput(argument));
        expect(refusal.message).toMatch(message);
      }
    },
  );
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

  it.for(TRANSPORTS)(
    'is null, or an empty list, in queries over %s',
    async (transport, { requests }) => {
      const answer = await requests[transport](
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
    },
  );

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
      document: DOCUMENTS.createAssistant,
      variables: { input: { graphId: 'nope' } },
      ...badInput('input.graphId'),
      message: /no graph "nope".*agent, echo/,
    },
    {
      what: 'an assistant that changes to it',
      document: DOCUMENTS.updateAssistant,
      variables: { input: { graphId: 'nope', name: 'new' } },
      ...badInput('input.graphId'),
      message: /no graph "nope".*agent, echo/,
    },
    {
      what: 'a run of an assistant that has it',
      document: DOCUMENTS.createRun,
      variables: { input: { assistantId: STRANDED_ID } },
      ...badInput('input.assistantId'),
      message: /runs the graph "gone", but the server no longer has this graph/,
    },
    {
      what: 'an assistant that goes back to it',
      document: `mutation { setAssistantVersion(id: "${STRANDED_ID}", version: 1) { id } }`,
      ...badInput('version'),
      message: /no graph "gone".*agent, echo/,
    },
    {
      what: 'a thread of it',
      document: DOCUMENTS.createThread,
      variables: { input: { graphId: 'nope', supersteps } },
      ...badInput('input.graphId'),
      message: /no graph "nope".*agent, echo/,
    },
    {
      what: 'supersteps of one whose function throws',
      document: DOCUMENTS.createThread,
      variables: { input: { graphId: 'broken', supersteps } },
      ...badInput('input.graphId'),
      message: /"broken" cannot be created: No graph today\./,
    },
    {
      what: 'supersteps without a graph',
      document: DOCUMENTS.createThread,
      variables: { input: { supersteps } },
      ...badInput('input.graphId'),
      message: /need the graphId/,
    },
    {
      what: 'an update as it',
      document: DOCUMENTS.createThread,
      variables: { input: { graphId: 'echo', supersteps: atNode('nope') } },
      ...badInput('input.supersteps[1].updates[0]'),
      message: /Superstep 2, update 1: there is no node "nope".*echo/,
    },
    {
      what: 'a command that goes to it',
      document: DOCUMENTS.createThread,
      variables: { input: { graphId: 'echo', supersteps: goto } },
      ...badInput('input.supersteps[0].updates[0]'),
      message: /Superstep 1, update 1: there is no node "nope".*echo/,
    },
  ]);
});

describe('A list of supersteps', () => {
  const create = (supersteps: unknown) => ({
    document: DOCUMENTS.createThread,
    variables: { input: { graphId: 'echo', supersteps } },
  });
  const input = { updates: [{ values: human('hello'), asNode: '__input__' }] };
  itIsRefused([
    {
      what: 'an empty one',
      ...create([]),
      ...badInput('input.supersteps'),
      message: /has 0 entries; it must have 1 to 100/,
    },
    {
      what: 'one of 101',
      ...create(Array.from({ length: 101 }, () => input)),
      ...badInput('input.supersteps'),
      message: /has 101 entries; it must have 1 to 100/,
    },
    {
      what: 'one with an empty superstep',
      ...create([input, { updates: [] }]),
      ...badInput('input.supersteps[1].updates'),
      message: /has 0 entries; it must have 1 to 100/,
    },
    {
      what: 'one with a superstep of 101 updates',
      ...create([{ updates: Array.from({ length: 101 }, () => input.updates[0]) }]),
      ...badInput('input.supersteps[0].updates'),
      message: /has 101 entries; it must have 1 to 100/,
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
  /** All connections, and the content of their cursors: a time and an id, a number, or an event. */
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

  it.for(each)(
    'is refused: $name after what is no cursor, over $transport',
    async ({ transport, selection, cursors }, { server, requests }) => {
      for (const after of malformed) {
        const refusal = await refusalOf({ server, requests }, transport, documentOf(selection), {
          after,
        });
        expect(refusal.extensions).toEqual(badInput('after'));
        expect(refusal.message).toMatch(
          cursors === 'event' ? /not the id of an event/ : /not a cursor of this list/,
        );
      }
    },
  );

  it.for(each)(
    "is refused: $name after another kind of list's cursor, over $transport",
    async ({ transport, selection, cursors }, { client, server, requests }) => {
      for (const other of CONNECTIONS.filter((one) => one.cursors !== cursors)) {
        const data = await client.gql(documentOf(other.selection));
        const after = /"cursor":"([^"]+)"/.exec(JSON.stringify(data))?.[1];
        const refusal = await refusalOf({ server, requests }, transport, documentOf(selection), {
          after,
        });
        expect(refusal.extensions, other.name).toEqual(badInput('after'));
      }
    },
  );

  it.for(TRANSPORTS)(
    "is refused: events after another thread's event, over %s",
    async (transport, { client, server, requests }) => {
      const EVENTS = operation(`query ($id: ID!) {
        thread(id: $id) { runs { nodes { id events { nodes { id } } } } }
      }`);
      const runOf = async (id: string) =>
        (await client.gql(EVENTS, { id })).thread?.runs.nodes[0] ?? expect.fail('No run');
      const after = (await runOf(OTHER_THREAD_ID)).events.nodes[0]?.id;
      const runId = (await runOf(THREAD_ID)).id;
      for (const document of [
        'query ($runId: ID!, $after: String) { run(id: $runId) { events(after: $after) { edges { cursor } } } }',
        'subscription ($runId: ID!, $after: ID) { runEvents(runId: $runId, after: $after) { id } }',
        `subscription ($after: ID) { threadEvents(threadId: "${THREAD_ID}", after: $after) { id } }`,
      ]) {
        const refusal = await refusalOf({ server, requests }, transport, document, {
          runId,
          after,
        });
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
        message: new RegExp(`has ${size} entries; it must have 1 to 100`),
      })),
    ),
  );
});

itLeavesItsWebSocketOpen();
