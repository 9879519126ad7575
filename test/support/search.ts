import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import type { VariablesOf } from 'gql.tada';
import { buildSchema, isEnumType } from 'graphql';
import { expect } from 'vitest';
import { raw, sql } from '../../src/db/sql.ts';
import type { TestApp } from './app.ts';
import type { Client } from './client.ts';
import { idsOf, operation } from './graphql.ts';

export type Row = Record<string, unknown> & { id: string };

export const schema = buildSchema(
  readFileSync(path.join(import.meta.dirname, '../../schema.graphql'), 'utf8'),
);

export function enumValues(name: string): string[] {
  const type = schema.getType(name);
  return isEnumType(type) ? type.getValues().map((value) => value.name) : [];
}

// ── Rows ─────────────────────────────────────────────────────────────────────────────────────

/** Inserts the rows in their order. No client can create rows with equal times. */
export async function insertRows(
  { app }: TestApp,
  table: string,
  rows: readonly object[],
): Promise<void> {
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0] ?? {}).map((column) => `"${column}"`);
  await app.sql.query(
    sql`INSERT INTO ${raw(`"${table}"`)} (${raw(columns.join(', '))})
     SELECT ${raw(columns.join(', '))} FROM jsonb_populate_recordset(NULL::${raw(`"${table}"`)}, ${JSON.stringify(rows)}::jsonb)`,
  );
}

export async function removeRows({ app }: TestApp, table: string, ids: readonly string[]) {
  await app.sql.query(sql`DELETE FROM ${raw(`"${table}"`)} WHERE "id" = ANY(${ids}::uuid[])`);
}

export async function replaceRows(server: TestApp, table: string, rows: readonly object[]) {
  await server.app.sql.query(sql`DELETE FROM ${raw(`"${table}"`)}`);
  await insertRows(server, table, rows);
}

export const uuid = fc.uuid();

/** Only three times: many rows have equal times. */
export const time = fc.constantFrom(
  '2026-01-01T00:00:00.000+00:00',
  '2026-01-01T00:00:00.001+00:00',
  '2026-06-01T12:00:00.123+00:00',
);

export const metadata = fc.record(
  {
    n: fc.nat(2),
    tags: fc.subarray(['a', 'b', 'c']),
    user: fc.record({ name: fc.constantFrom('ada', 'bob') }, { requiredKeys: [] }),
    none: fc.constant(null),
  },
  { requiredKeys: [] },
);

/** Rows with different ids. */
export function rowsOf<T extends { id: string }>(row: fc.Arbitrary<T>, maxLength = 10) {
  return fc.uniqueArray(row, { selector: ({ id }) => id, maxLength });
}

// ── Filters ──────────────────────────────────────────────────────────────────────────────────

/** The conditions of a filter, by name. An absent condition matches every row. */
export interface Filter {
  ids?: string[];
  status?: string[];
  graphId?: string;
  name?: string;
  text?: string;
  metadata?: Record<string, unknown>;
  [condition: string]: unknown;
}

/** Usually undefined: a filter with all conditions matches hardly any row. */
export function seldom<T>(part: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: part });
}

/**
 * Generates functions from rows to a filter. The filter may select some of these rows by their ids. The conditions `created`,
 * `updated` and `finished` are of `intervalOf`.
 */
export function filterOf(conditions: Record<string, fc.Arbitrary<unknown>>) {
  const picks = fc.array(fc.nat(12), { minLength: 1, maxLength: 6 });
  const all = Object.entries<fc.Arbitrary<unknown>>({ ...conditions, metadata });
  const parts: Record<string, fc.Arbitrary<unknown>> = Object.fromEntries(
    all.map(([name, condition]) => [name, seldom(condition)]),
  );
  return fc
    .tuple(fc.record(parts), seldom(picks), uuid)
    .map(
      ([{ created, updated, finished, ...filter }, picks, unknown]) =>
        (rows: readonly Row[]): Filter => ({
          ...filter,
          ...(created as object),
          ...(updated as object),
          ...(finished as object),
          ...(picks && { ids: picks.map((at) => rows[at]?.id ?? unknown) }),
        }),
    );
}

/** Conditions on the time `name`At of a row, in both directions, without an empty interval. */
export function intervalOf(name: string) {
  const after = `${name}After`;
  const before = `${name}Before`;
  return fc.oneof(
    fc.record({ [after]: time }),
    fc.record({ [before]: time }),
    fc.constant({
      [after]: '2026-01-01T00:00:00.001+00:00',
      [before]: '2026-06-01T12:00:00.123+00:00',
    }),
  );
}

/** Whether a time of the row is within the interval of the filter. All times have the same form. */
export function isWithin(row: Row, name: string, filter: Record<string, unknown>): boolean {
  const at = row[`${name}At`] as string | null;
  const after = filter[`${name}After`] as string | undefined;
  const before = filter[`${name}Before`] as string | undefined;
  return (
    (after === undefined || (at !== null && at >= after)) &&
    (before === undefined || (at !== null && at < before))
  );
}

/** Whether each word begins a text in the metadata of a row. Each text there is a single word. */
export function hasText(row: Row, text: string | undefined): boolean {
  const { tags = [], user = {} } = row['metadata'] as { tags?: string[]; user?: { name?: string } };
  const texts = [...tags, user.name ?? ''];
  const words = text?.toLowerCase().split(' ') ?? [];
  return words.every((word) => texts.some((each) => each.startsWith(word)));
}

/** Whether a row matches the conditions common to all lists. */
export function matches(row: Row, { ids, status, graphId, metadata }: Filter): boolean {
  return (
    (ids === undefined || ids.includes(row.id)) &&
    (status === undefined || status.includes(String(row['status']))) &&
    (graphId === undefined || row['graphId'] === graphId) &&
    (metadata === undefined || contains(row['metadata'], metadata))
  );
}

/** The operator `@>` of PostgreSQL for `jsonb`, below the top level. */
export function contains(whole: unknown, part: unknown): boolean {
  if (Array.isArray(part)) {
    return Array.isArray(whole) && part.every((item) => whole.some((own) => contains(own, item)));
  }
  if (!isObject(part)) return whole === part;
  return (
    isObject(whole) &&
    Object.entries(part).every(([key, value]) => key in whole && contains(whole[key], value))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// ── Pages ────────────────────────────────────────────────────────────────────────────────────

export interface Connection {
  totalCount: number;
  edges: { cursor: string; node: { id: string } }[];
  nodes: { id: string }[];
  pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
  };
}

/** Reads one page of a list. */
export type ReadPage = (args: Record<string, unknown>) => Promise<Connection>;

interface Paging {
  size: number;
  backwards: boolean;
}

export const paging = fc.record({ size: fc.integer({ min: 1, max: 4 }), backwards: fc.boolean() });

/**
 * Reads a list page by page, from its start or from its end, and returns the ids in the order of the list.
 * Checks the page info of each page. Calls `between` after each page except the last.
 */
export async function readPages(
  read: ReadPage,
  { size, backwards }: Paging,
  between: (page: string[]) => Promise<void> = async () => {},
): Promise<string[]> {
  const seen: string[][] = [];
  let cursor: string | null = null;
  for (;;) {
    const page: Connection = await read(
      backwards ? { last: size, before: cursor } : { first: size, after: cursor },
    );
    const ids = idsOf(page.nodes);
    if (backwards) seen.unshift(ids);
    else seen.push(ids);

    const { hasNextPage, hasPreviousPage, startCursor, endCursor } = page.pageInfo;
    expect(page.nodes).toEqual(page.edges.map(({ node }) => node));
    expect(startCursor).toBe(page.edges[0]?.cursor ?? null);
    expect(endCursor).toBe(page.edges.at(-1)?.cursor ?? null);
    expect(backwards ? hasNextPage : hasPreviousPage).toBe(cursor !== null);
    const more = backwards ? hasPreviousPage : hasNextPage;
    if (!more) return seen.flat();
    expect(ids).toHaveLength(size);
    cursor = backwards ? startCursor : endCursor;
    await between(ids);
  }
}

const THREADS = operation(`query (
  $filter: ThreadFilter, $orderBy: ThreadOrder, $first: Int, $after: String, $last: Int, $before: String
) {
  threads(
    filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before
  ) {
    totalCount
    edges { cursor node { id } }
    nodes { id }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`);

const ASSISTANTS = operation(`query (
  $filter: AssistantFilter, $orderBy: AssistantOrder, $first: Int, $after: String, $last: Int, $before: String
) {
  assistants(
    filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before
  ) {
    totalCount
    edges { cursor node { id } }
    nodes { id }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`);

const RUNS = operation(`query (
  $filter: RunFilter, $orderBy: RunOrder, $first: Int, $after: String, $last: Int, $before: String
) {
  runs(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
    totalCount
    edges { cursor node { id } }
    nodes { id }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`);

/** The documents of the lists. */
export const LIST = { threads: THREADS, assistants: ASSISTANTS, runs: RUNS };

type Variables = Record<string, unknown>;

const READ: Record<keyof typeof LIST, (client: Client, all: Variables) => Promise<Connection>> = {
  threads: async (client, all) =>
    (await client.gql(THREADS, all as VariablesOf<typeof THREADS>)).threads,
  assistants: async (client, all) =>
    (await client.gql(ASSISTANTS, all as VariablesOf<typeof ASSISTANTS>)).assistants,
  runs: async (client, all) => (await client.gql(RUNS, all as VariablesOf<typeof RUNS>)).runs,
};

/** Reads a list with these arguments, page by page. */
export function list(client: Client, name: keyof typeof LIST, fixed: Variables = {}): ReadPage {
  return (args) => READ[name](client, { ...fixed, ...args });
}
