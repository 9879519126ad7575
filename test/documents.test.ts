import { describe, expect } from 'vitest';
import { getIntrospectionQuery } from 'graphql';
import { readConfig } from '../src/config.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { NOBODY, refusals, repeat } from './support/refusals.ts';

const nest = (width: number, depth: number): string =>
  depth === 0 ? 'step' : repeat(width, () => `parent { ${nest(width, depth - 1)} }`);
const fragments = (count: number, of: (n: number) => string) =>
  repeat(count, (n) => `fragment f${n} on Graph { ${of(n)} }`);

/** Below 5,000 tokens each; graphql's own rules compare up to half a million pairs of their fields. */
const LONG_TO_VALIDATE: [string, string][] = [
  ['one field very often', `{ ${repeat(1600, () => '__typename')} }`],
  ['one object very often', `{ ${repeat(300, () => `thread(id: "${NOBODY}") { id }`)} }`],
  ['many inline fragments', `{ graphs { ${repeat(900, () => '... { id }')} } }`],
  [
    'many fragments side by side',
    `{ graphs { ${repeat(400, (n) => `...f${n}`)} } } ${fragments(400, () => 'id')}`,
  ],
  [
    'fragments that spread each other twice',
    `{ graphs { ...f0 } } ${fragments(100, (n) => (n === 99 ? 'id' : `...f${n + 1} a: __typename ...f${n + 1}`))}`,
  ],
  [
    'objects in objects, each several times',
    `{ thread(id: "${NOBODY}") { state { ${nest(4, 4)} } } }`,
  ],
];

describe('a document that would take long to validate', () => {
  it.for(LONG_TO_VALIDATE)(
    'is refused before it is validated: %s',
    async ([_what, document], { server }) => {
      const error = {
        message: 'Selection limit of 5000 exceeded. SELECTION_LIMIT sets the limit.',
        extensions: { code: 'BAD_USER_INPUT' },
      };
      expect(await refusals(server, document)).toEqual([[error], [error], [error]]);
    },
  );

  it('is validated up to the limit that the environment sets', async ({ startServer }) => {
    const { selectionLimit } = readConfig({ SELECTION_LIMIT: '10' });
    const { client: strict } = await startServer({ selectionLimit });
    // Four fields, and six pairs of them.
    await strict.gql(`{ ${repeat(4, () => '__typename')} }`);
    const [error] = await strict.errors(`{ ${repeat(5, () => '__typename')} }`);
    expect(error?.message).toContain('Selection limit of 10 exceeded.');
  });

  it('is told what is wrong with it where a fragment spreads itself', async ({ client }) => {
    const [error] = await client.errors(
      '{ graphs { ...a } } fragment a on Graph { id ...b } fragment b on Graph { ...a }',
    );
    expect(error?.message).toBe('Cannot spread fragment "a" within itself via "b".');
  });

  it('is told of ten mistakes, and of their places unless it has more than 500 lines', async ({
    client,
  }) => {
    const wrong = `{ ${repeat(30, (n) => `a${n}`)} }`;
    const short = await client.errors(`\n\n${wrong}`);
    expect(short).toHaveLength(11);
    expect(short[0]).toMatchObject({ locations: [{ line: 3, column: 3 }] });
    for (const lineBreak of ['\n', '\r', '\r\n']) {
      const long = await client.errors(lineBreak.repeat(501) + wrong);
      expect(long[0]?.message).toBe(short[0]?.message);
      expect(long[0]).not.toHaveProperty('locations');
    }
  });
});

describe('introspection', () => {
  it('costs what it finds', async ({ client, server }) => {
    await client.gql(getIntrospectionQuery());
    const often = repeat(
      28,
      (n) =>
        `a${n}: __schema { types { fields { type { fields { args { type { name } } type { name } } } } } }`,
    );
    for (const [error] of await refusals(server, `{ ${often} }`)) {
      expect(error.message).toMatch(/^Cost limit of 50000 exceeded, found \d+\. COST_LIMIT sets/);
    }
  });
});

describe('fields of JSON', () => {
  it('are selected together under one name, whatever the schema says of them', async ({
    client,
  }) => {
    const { createRun: run } = await client.gql(
      operation(`mutation { createRun(input: { assistantId: "custom", input: {}, onCompletion: KEEP,
        streamModes: [CUSTOM, TASKS, CHECKPOINTS] }, wait: true) { id } }`),
    );
    const document = `subscription ($runId: ID!) { runEvents(runId: $runId) {
      __typename ... on CustomEvent { data } ... on TasksEvent { data } ... on CheckpointsEvent { data }
      ... on MessagesEvent { data: metadata } ... on ValuesEvent { data: values }
    } }`;
    const shown = new Map<string, unknown>();
    for await (const { runEvents: event } of client.subscribe(document, { runId: run.id })) {
      shown.set(event.__typename, event.data);
    }
    expect(shown.get('TasksEvent')).toMatchObject({ name: expect.any(String) });
    expect(shown.get('CheckpointsEvent')).toMatchObject({ values: expect.any(Object) });
    expect(shown.get('CustomEvent')).toBeDefined();
  });

  it('are not selected together with fields of another type', async ({ client }) => {
    const [error] = await client.errors(`{ run(id: "${NOBODY}") { events { nodes {
      ... on CustomEvent { data } ... on UpdatesEvent { data: node } } } } }`);
    expect(error?.message).toMatch(/conflict because they return conflicting types/);
  });
});
