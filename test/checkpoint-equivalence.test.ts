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

/** The number of stories for each database. */
const CASES = Number(process.env['EQUIVALENCE_CASES'] || 200);
/** A seed always makes the same stories. */
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
/**
 * Executed first: rare stories with a difference in the past. In two of them, an update adds to a state with the writes of
 * nodes beside an unfinished node.
 */
const KEPT: Story[] = [
  {
    // The versions decide which node ran last.
    graph: { nodes: [node({}), node({}), failing, node({ after: 1 })], loops: false },
    deeds: [
      BEGIN,
      { do: 'update', input: { log: ['by hand'] }, asNode: null },
      { do: 'go on', durability: 'sync' },
      { do: 'update', input: { log: ['by hand again'] }, asNode: null },
    ],
  },
  {
    // A join without earlier writes: the node after it is not next.
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
    // The pending writes of two tasks differ only in a set.
    graph: {
      nodes: [
        node({
          actions: [
            { do: 'tag', tag: 'a' },
            { do: 'send', to: 0, times: 1 },
          ],
        }),
        node({}),
      ],
      loops: false,
    },
    deeds: [BEGIN, { do: 'fork by run', from: 0, input: null, durability: 'sync' }],
  },
  {
    // A subgraph with a kept state writes a different value in a repeated run.
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
          // In parallel: MemorySaver works while the other store waits for its database.
          const [actual, expected] = await Promise.all([
            tell(databaseStore(database), graph, deeds),
            tell(memoryStore(), graph, deeds),
          ]);
          const difference = firstDifference(comparable(actual), comparable(expected));
          if (difference) throw new Error(difference);
        }),
        // Each database has its own stories.
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
