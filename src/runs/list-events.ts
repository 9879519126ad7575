import type { Page, PageRequest } from '../db/page.ts';
import { readPageRequest } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { eventId, type StoredEvent, type StreamMode } from '../events/event.ts';
import type { Followed } from '../events/inbox.ts';
import { findGap, readEvents } from '../events/read.ts';
import type { Run } from '../generated/prisma/client.ts';
import { readCursor, threadOfEvents, wantedTypes } from './events.ts';

/** A page of a run's stored events, oldest first, in the same form as for a subscriber. A cursor is the id of an event. */
export async function listRunEvents(
  app: { sql: Sql },
  run: Run,
  { modes, ...request }: PageRequest & { modes?: readonly StreamMode[] | null | undefined },
): Promise<Page<StoredEvent>> {
  const { size, backwards, argument, cursor } = readPageRequest(request);
  const threadId = await threadOfEvents(app, run);
  const number = readCursor(cursor, threadId, argument);
  const followed = { threadId, runId: run.id };
  const page = { size, types: wantedTypes(modes) };
  const rows = backwards
    ? await lastEvents(app, followed, { ...page, before: cursor === undefined ? END : number })
    : await nextEvents(app, followed, { ...page, after: number });
  const shown = backwards ? rows.slice(-size) : rows.slice(0, size);
  const edges = shown.map((node) => ({ cursor: eventId(node), node }));
  const more = rows.length > size;
  return {
    edges,
    pageInfo: {
      hasNextPage: backwards ? cursor !== undefined : more,
      hasPreviousPage: backwards ? more : number > 0,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    count: () => Promise.resolve(edges.length),
  };
}

/** A number after all events. */
const END = Number.MAX_SAFE_INTEGER;

interface EventPage {
  size: number;
  /** Undefined: events of every type. */
  types: StoredEvent['type'][] | undefined;
}

/** The events after a number, and one more if the page is full. A GAP replaces deleted events at the start. */
async function nextEvents(
  app: { sql: Sql },
  followed: Required<Followed>,
  { size, types, after }: EventPage & { after: number },
): Promise<StoredEvent[]> {
  const stored = await readEvents(app.sql, followed, { after, limit: size + 1, types });
  // The next event of any type shows a gap, even if the page contains other types only.
  const [next] = types ? await readEvents(app.sql, followed, { after, limit: 1 }) : stored;
  const gap = next && (await findGap(app.sql, followed, { seen: after, next }));
  return gap ? [gap, ...stored] : stored;
}

/** The last events before a number, and one more if the page is full. A GAP replaces deleted events at the start of the run. */
async function lastEvents(
  app: { sql: Sql },
  followed: Required<Followed>,
  { size, types, before }: EventPage & { before: number },
): Promise<StoredEvent[]> {
  const stored = await readEvents(app.sql, followed, { after: 0, before, limit: size + 1, types });
  if (stored.length > size) return stored;
  const [first] = await readEvents(app.sql, followed, { after: 0, limit: 1 });
  const gap = first && (await findGap(app.sql, followed, { seen: 0, next: first }));
  return gap && gap.number < before ? [gap, ...stored] : stored;
}
