import { once } from 'node:events';
import { describe, expect } from 'vitest';
import { human } from './support/app.ts';
import { openSocket } from './support/refusals.ts';
import {
  badInput,
  countRows,
  DOCUMENTS,
  it,
  itIsRefused,
  itLeavesItsWebSocketOpen,
  THREAD_ID,
  type Case,
  type Variables,
} from './support/refused-cases.ts';

describe('A value of another type', () => {
  const run = (input: Variables) => ({
    document: DOCUMENTS.createRun,
    variables: { input: { assistantId: 'echo', input: human('hello'), ...input } },
  });
  const byGraphql = { code: 'BAD_USER_INPUT' };
  const wrong = (config: Variables, at: string, message: RegExp): Case[] => [
    {
      what: `${JSON.stringify(config)} for an assistant's config`,
      document: DOCUMENTS.createAssistant,
      variables: { input: { graphId: 'echo', config } },
      ...badInput(`input.config.${at}`),
      message,
    },
    {
      what: `${JSON.stringify(config)} for an assistant's new config`,
      document: DOCUMENTS.updateAssistant,
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
        document: DOCUMENTS.createThread,
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
      document: DOCUMENTS.createThread,
      variables: { input: { ifExists: 'EXPLODE' } },
      ...byGraphql,
      message: /"EXPLODE" does not exist in "IfExists"/,
    },
    {
      what: 'a field that an input does not have',
      document: DOCUMENTS.createThread,
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
      /is reserved for the server/,
    ),
    ...wrong(
      { configurable: { __pregel_send: 1 } },
      'configurable.__pregel_send',
      /is reserved for the server/,
    ),
    {
      what: 'a name of 256 characters',
      document: DOCUMENTS.createAssistant,
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
        document: DOCUMENTS.createAssistant,
        variables: { input: { graphId: 'echo', name: value } },
        ...badInput('input.name'),
        message,
      },
      {
        what: `${what} in a description`,
        document: DOCUMENTS.updateAssistant,
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
        document: DOCUMENTS.createThread,
        variables: { input: { metadata: { a: { [String(value)]: 1 } } } },
        ...badInput('input.metadata.a'),
        message,
      },
    ]),
    ...[...bad, deep].flatMap(([what, value, message]): Case[] => {
      // The server counts the levels of the whole argument.
      const at = (argument: string, rest: string) =>
        badInput(value === deep[1] ? argument : `${argument}${rest}`);
      return [
        {
          what: `${what} in an assistant's metadata`,
          document: DOCUMENTS.createAssistant,
          variables: { input: { graphId: 'echo', metadata: { a: value } } },
          ...at('input.metadata', '.a'),
          message,
        },
        {
          what: `${what} in an assistant's config`,
          document: DOCUMENTS.updateAssistant,
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
          document: DOCUMENTS.createThread,
          variables: { input: { graphId: 'echo', supersteps: supersteps(value) } },
          ...at('input.supersteps[0].updates[0].values', '.messages'),
          message,
        },
        {
          what: `${what} in a run's input`,
          document: DOCUMENTS.createRun,
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

  it('larger than 1 MiB is refused with 413 over HTTP, and leaves nothing', async ({ server }) => {
    const before = await countRows(server);
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        query: DOCUMENTS.createThread,
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
    expect(await countRows(server)).toEqual(before);
  });

  it.for([
    '{"query":1}',
    '{"query":"{ __typename }","variables":"x"}',
    '{"query":"{ __typename }","variables":[1]}',
    '{"query":"{ __typename }","operationName":"nope"}',
    '{"query":"{ __typename }","operationName":1}',
  ])(
    'of other types than GraphQL over HTTP has is a client error: %s',
    async (body, { server }) => {
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
    },
  );

  const subscribe = (payload: string) => `{"id":"1","type":"subscribe","payload":${payload}}`;

  it('larger than 1 MiB closes its WebSocket alone, and leaves nothing', async ({ server }) => {
    const before = await countRows(server);
    using raw = await openSocket(server);
    const variables = { input: { metadata: { text: TOO_LARGE } } };
    raw.socket.send(subscribe(JSON.stringify({ query: DOCUMENTS.createThread, variables })));
    expect((await once(raw.socket, 'close'))[0]).toBe(1009);
    expect(await countRows(server)).toEqual(before);
  });

  it.for([
    'no JSON',
    '[]',
    '{"type":"nope"}',
    subscribe('{}'),
    subscribe('{"query":1}'),
    subscribe('{"query":"{ __typename }","variables":"x"}'),
  ])(
    'that the protocol does not know closes its WebSocket alone: %s',
    async (message, { server }) => {
      using raw = await openSocket(server);
      raw.socket.send(message);
      const [code, reason] = await once(raw.socket, 'close');
      expect([code, String(reason)]).toEqual([4400, expect.stringMatching(/./)]);
    },
  );

  it('may nest deeper than any stack, and is refused', async ({ server }) => {
    const before = await countRows(server);
    const list = '['.repeat(40_000) + ']'.repeat(40_000);
    const payload = `{"query":${JSON.stringify(DOCUMENTS.createThread)},"variables":{"input":{"metadata":{"a":${list}}}}}`;
    using raw = await openSocket(server);
    raw.socket.send(subscribe(payload));
    expect((await raw.receive()).payload.errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', argument: 'input.metadata' } },
    ]);
    expect(await countRows(server)).toEqual(before);
  });
});

itLeavesItsWebSocketOpen();
