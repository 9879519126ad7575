import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { listByIds, type CheckpointRow } from './find.ts';
import { LONGEST_WALK, type MessageEntry } from './message-entries.ts';

// An edit of a message, or a new answer, makes a new branch from the checkpoint before the message. So the versions of a message are
// the children of that checkpoint, each with the states that follow it.

/** A version of a message. */
export interface MessageVersion {
  /** The newest checkpoint that follows the version. */
  newest: CheckpointRow;
  /** The state of the message has this version. */
  isCurrent: boolean;
}

type Place = Pick<CheckpointRow, 'threadId' | 'namespace'>;
/** The entry of a message, with a checkpoint before it. */
type Replaceable = MessageEntry & { before: string };

/** A checkpoint in the tree of its namespace. */
interface Branching {
  checkpointId: string;
  parentId: string | null;
}

/**
 * The versions of messages by the checkpoint before them, oldest first. Left out: a message with one version only, and one with
 * more than LONGEST_WALK checkpoints stored after its first version.
 */
export async function findVersions(
  query: Query,
  place: Place,
  entries: Iterable<MessageEntry>,
): Promise<Map<string, MessageVersion[]>> {
  const replaceable = [...entries].filter((entry): entry is Replaceable => entry.before !== null);
  const forks = await readForks(query, place, [
    ...new Set(replaceable.map(({ before }) => before)),
  ]);
  if (forks.size === 0) return new Map();
  const newest = newestOnBranches(await readNewest(query, place));
  const ids = [...forks.values()].flat().map((child) => newest.get(child));
  const rows = await listByIds(
    query,
    place,
    'checkpointId',
    ids.filter((id) => id !== undefined),
  );
  const rowOf = new Map(rows.map((row) => [row.checkpointId, row]));
  const current = new Set(replaceable.map(({ afterBefore }) => afterBefore));
  return new Map(
    [...forks].flatMap(([before, children]) => {
      const versions = children.flatMap((child): MessageVersion[] => {
        const row = rowOf.get(newest.get(child) ?? '');
        return row ? [{ newest: row, isCurrent: current.has(child) }] : [];
      });
      return versions.length === children.length ? [[before, versions] as const] : [];
    }),
  );
}

/** The children of each checkpoint with several, oldest first. */
async function readForks(
  query: Query,
  { threadId, namespace }: Place,
  ids: readonly string[],
): Promise<Map<string, string[]>> {
  if (ids.length === 0) return new Map();
  const rows = await query<{ parentId: string; children: string[] }>(
    sql`SELECT "parentId", array_agg("checkpointId"::text ORDER BY "seq") AS "children" FROM "Checkpoint"
      WHERE "threadId" = ${threadId} AND "namespace" = ${namespace} AND "parentId" = ANY(${ids}::uuid[])
      GROUP BY "parentId" HAVING count(*) > 1`,
    { onlyReads: true },
  );
  return new Map(rows.map(({ parentId, children }) => [parentId, children]));
}

/** The newest checkpoints of the namespace, newest first. */
function readNewest(query: Query, { threadId, namespace }: Place): Promise<Branching[]> {
  return query<Branching>(
    sql`SELECT "checkpointId", "parentId" FROM "Checkpoint"
      WHERE "threadId" = ${threadId} AND "namespace" = ${namespace} ORDER BY "seq" DESC LIMIT ${LONGEST_WALK}`,
    { onlyReads: true },
  );
}

/** For each of these checkpoints, newest first: the newest checkpoint on the branches that begin with it, which may be itself. */
function newestOnBranches(checkpoints: readonly Branching[]): Map<string, string> {
  const place = new Map(checkpoints.map(({ checkpointId }, i) => [checkpointId, i]));
  const newest = new Map<string, string>();
  for (const { checkpointId, parentId } of checkpoints) {
    const own = newest.get(checkpointId) ?? checkpointId;
    newest.set(checkpointId, own);
    if (parentId === null) continue;
    const other = newest.get(parentId);
    const isNewer = other === undefined || (place.get(own) ?? 0) < (place.get(other) ?? 0);
    if (isNewer) newest.set(parentId, own);
  }
  return newest;
}
