import process from 'node:process';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, inject, it } from 'vitest';
import type { Database } from '../src/db/open.ts';
import { createTestDatabase, openTestDatabase, type TestDatabase } from './support/databases.ts';
import { BEGIN, story, type GraphSpec, type Story } from './support/random-graph.ts';
import {
  comparable,
  databaseStore,
  firstDifference,
  memoryStore,
  tell,
} from './support/told-story.ts';

/** How many stories each database is tried with. */
const CASES = Number(process.env['EQUIVALENCE_CASES'] || 200);
/** The same one tells the same stories; another one, others. */
const SEED = Number(process.env['EQUIVALENCE_SEED'] || 2026);

const node = (own: Partial<GraphSpec['nodes'][number]>): GraphSpec['nodes'][number] => ({
  actions: [],
  after: 0,
  by: 'edge',
  subgraph: null,
  remembers: false,
  ...own,
});
const failing = node({ actions: [{ do: 'fail once' }] });
const asking = node({ actions: [{ do: 'ask', question: '?' }] });
/** Told first: rare, and once different. In two, an update adds to the state what nodes had written beside one that had not ended. */
const KEPT: Story[] = [
  {
    // Who ran last is a matter of versions.
    graph: { nodes: [node({}), node({}), failing, node({ after: 1 })], loops: false },
    deeds: [
      BEGIN,
      { do: 'update', input: { log: ['by hand'] }, asNode: null },
      { do: 'go on', durability: 'sync' },
      { do: 'update', input: { log: ['by hand again'] }, asNode: null },
    ],
  },
  {
    // A join that nothing had been written to before: what waits for it is not next.
    graph: {
      nodes: [node({}), node({}), node({}), asking, node({ after: 1, by: 'join' })],
      loops: false,
    },
    deeds: [
      BEGIN,
      { do: 'update', input: { log: ['by hand'] }, asNode: 3 },
      { do: 'go on', durability: 'sync' },
    ],
  },
  {
    // What remembers writes something else when it is done anew.
    graph: {
      nodes: [node({}), node({ remembers: true, subgraph: { nodes: [node({})], loops: false } })],
      loops: false,
    },
    deeds: [
      BEGIN,
      { do: 'update', input: { log: [] }, asNode: 0 },
      { do: 'go on', durability: 'sync' },
      { do: 'fork by run', from: 1, input: null, durability: 'sync' },
    ],
  },
];

describe(`A graph on this server's savers (EQUIVALENCE_SEED=${SEED} EQUIVALENCE_CASES=${CASES})`, () => {
  let testDatabase: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    database = await openTestDatabase(testDatabase);
  });

  afterAll(async () => {
    await database.close();
    await testDatabase.dispose();
  });

  it(
    'is in the same states as on MemorySaver, whatever is done',
    { timeout: 3_600_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(story, async ({ graph, deeds }) => {
          const expected = comparable(await tell(memoryStore(), graph, deeds));
          const actual = comparable(await tell(databaseStore(database), graph, deeds));
          const difference = firstDifference(actual, expected);
          if (difference) throw new Error(difference);
        }),
        // Each database is told stories of its own.
        {
          seed: inject('database') === 'embedded' ? SEED : SEED + 1,
          numRuns: CASES,
          examples: KEPT.map((kept) => [kept]),
          endOnFailure: Boolean(process.env['EQUIVALENCE_NO_SHRINK']),
        },
      );
    },
  );
});
