import type { Reading } from '../checkpoints/graphs.ts';
import { findCurrentStates, valuesOf } from '../checkpoints/states.ts';
import { LARGEST_COUNT, LARGEST_PAGE, pageInfoOf, readPage, readPageRequest } from '../db/page.ts';
import type { Listing, Page, PageRequest, Slice } from '../db/page.ts';
import { BadInputError } from '../errors.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { isRecord } from '../json.ts';

// A search by values. PostgreSQL cannot answer it: a state is stored as parts of channels, and the graph decides what they show. So
// the server reads the newest states of the threads that meet the other conditions, in the order of the list, and compares them.

/** The most threads of one search. It reads the state of each. */
const MOST_READ = 1000;
/** The most values in a condition: each is compared with all elements of a list. */
const MOST_VALUES = 100;

/** The values that a state must contain. */
export interface ValuesCondition {
  values: Record<string, unknown>;
  /** The argument of the condition. */
  argument: string;
}

type Edge = Page<Thread>['edges'][number];

/** One page of the threads of a listing with these values. Throws if more than 1,000 states would have to be read for it. */
export async function readPageByValues(
  app: Reading,
  listing: Listing,
  { condition, request }: { condition: ValuesCondition; request: PageRequest },
): Promise<Page<Thread>> {
  const { size, backwards, cursor } = readPageRequest(request);
  const wanted = { condition, backwards, cursor, size };
  const { found, isLast } = await findThreads(app, listing, wanted);
  const edges = found.slice(0, size);
  if (backwards) edges.reverse();
  return {
    edges,
    pageInfo: pageInfoOf(edges, { backwards, more: !isLast, hasCursor: cursor !== undefined }),
    count: async () => (await readAllByValues(app, listing, condition)).length,
  };
}

/** The threads with these values after the first `offset` ones. The number of all is known only if the slice has the last one. */
export async function readSliceByValues(
  app: Reading,
  listing: Listing,
  { condition, limit, offset }: { condition: ValuesCondition; limit: number; offset: number },
): Promise<Slice<Thread>> {
  const { found, isLast } = await findThreads(app, listing, { condition, size: offset + limit });
  const rows = found.slice(offset, offset + limit).map(({ node }) => node);
  return { rows, count: async () => (isLast ? found.length : LARGEST_COUNT + 1) };
}

/** All threads of the listing with these values. */
export async function readAllByValues(
  app: Reading,
  listing: Listing,
  condition: ValuesCondition,
): Promise<Thread[]> {
  const { found } = await findThreads(app, listing, { condition, size: Infinity });
  return found.map(({ node }) => node);
}

interface Wanted {
  condition: ValuesCondition;
  /** The number of threads to find. */
  size: number;
  backwards?: boolean;
  cursor?: string | undefined;
}

interface Found {
  /** In the order of reading; may have more than the wanted number. */
  found: Edge[];
  /** False: the list has more threads, or its other states are not read. */
  isLast: boolean;
}

async function findThreads(
  app: Reading,
  listing: Listing,
  { condition, size, backwards = false, cursor }: Wanted,
): Promise<Found> {
  checkValues(condition);
  const found: Edge[] = [];
  for (let read = 0, from = cursor ?? null; ;) {
    const request = backwards
      ? { last: LARGEST_PAGE, before: from }
      : { first: LARGEST_PAGE, after: from };
    const { edges, pageInfo } = await readPage<Thread>(app.sql, listing, request);
    found.push(...(await withValues(app, backwards ? edges.toReversed() : edges, condition)));
    read += edges.length;
    const hasMore = backwards ? pageInfo.hasPreviousPage : pageInfo.hasNextPage;
    if (found.length > size || !hasMore) return { found, isLast: found.length <= size };
    if (read >= MOST_READ) {
      if (found.length === size) return { found, isLast: false };
      throw tooMany(condition);
    }
    from = backwards ? pageInfo.startCursor : pageInfo.endCursor;
  }
}

async function withValues(
  app: Reading,
  edges: readonly Edge[],
  { values }: ValuesCondition,
): Promise<Edge[]> {
  const states = await findCurrentStates(
    app,
    edges.map(({ node }) => node.id),
  );
  const found: Edge[] = [];
  for (const edge of edges) {
    const state = states.get(edge.node.id);
    if (state && contains(await valuesOf(state), values)) found.push(edge);
  }
  return found;
}

function tooMany({ argument }: ValuesCondition): BadInputError {
  const most = MOST_READ.toLocaleString('en');
  return new BadInputError(
    argument,
    (name) =>
      `${name(argument)} was compared with the states of ${most} threads, the most of one request, and more threads meet the other conditions. Add a condition, such as metadata or ids.`,
  );
}

function checkValues({ values, argument }: ValuesCondition): void {
  const count = countValues(values) - 1;
  if (count <= MOST_VALUES) return;
  throw new BadInputError(
    argument,
    (name) => `${name(argument)} has ${count} values; at most ${MOST_VALUES} are allowed.`,
  );
}

function countValues(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce((sum: number, each) => sum + countValues(each), 1);
}

/** The operator `@>` of PostgreSQL for `jsonb`, below the top level. */
function contains(whole: unknown, part: unknown): boolean {
  if (Array.isArray(part)) {
    return Array.isArray(whole) && part.every((each) => whole.some((own) => contains(own, each)));
  }
  if (!isRecord(part)) return whole === part;
  return (
    isRecord(whole) &&
    Object.entries(part).every(
      ([key, each]) => Object.hasOwn(whole, key) && contains(whole[key], each),
    )
  );
}
