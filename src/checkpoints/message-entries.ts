import type { Query } from '../db/query.ts';
import { param, raw, sql, type Statement } from '../db/sql.ts';
import { isRecord, recordOf } from '../json.ts';
import type { CheckpointRow } from './find.ts';
import { idOrNull } from './message.ts';
import { BY_KEY } from './store-statement.ts';
import { ELEMENTS } from './units.ts';

// A message enters a branch with its entry: the oldest checkpoint from which on every state of the branch, up to a given one, has a
// message with the same id. An edit of the message in place changes nothing: the id stays in the list.

/** The entry of a message, and the starts of runs that replace the message: null if the entry is the first checkpoint of its thread. */
export interface MessageEntry extends Entry {
  /** For a run with input: the state before the message, and before the input of its run. The runs are siblings in the history. */
  before: string | null;
  /** For a run without input: it makes the message again. If the message is an input, this checkpoint has the input. */
  again: string | null;
  /** The child of `before` on this branch. */
  afterBefore: string | null;
}

type Starts = Pick<MessageEntry, 'before' | 'again' | 'afterBefore'>;

type Entry = Pick<
  CheckpointRow,
  'threadId' | 'namespace' | 'checkpointId' | 'parentId' | 'runId' | 'createdAt'
>;

/** A checkpoint on the way from a state to the root, and the difference of its list of messages from the list of its parent. */
interface Step {
  entry: Entry & Pick<CheckpointRow, 'source'>;
  /** The ids in the new items of the list. */
  added: ReadonlySet<string>;
  /** The ids in the items that the list no longer has. */
  removed: ReadonlySet<string>;
  /** False: the checkpoint or its parent keeps the messages in another form. */
  isList: boolean;
}

/** The most checkpoints to search for an entry. */
export const LONGEST_WALK = 10_000;

/**
 * The entries of the messages with these ids, as of a checkpoint. Left out: a message that the list of the checkpoint does not
 * have, and one with an entry beyond the longest walk. Usually one statement: it takes a few checkpoints for each message.
 */
export async function findEntries(
  query: Query,
  checkpoint: Pick<CheckpointRow, 'threadId' | 'namespace' | 'checkpointId'>,
  ids: readonly string[],
): Promise<Map<string, MessageEntry>> {
  if (ids.length === 0) return new Map();
  for (let most = 20 + ids.length * 2; ; most = Math.min(most * 4, LONGEST_WALK)) {
    const steps = await readSteps(query, checkpoint, most);
    const isWhole = steps.length <= most;
    const { entries, open } = entriesIn(steps.slice(0, most), ids);
    if (open.size === 0 || isWhole || most >= LONGEST_WALK) return entries;
  }
}

/**
 * The entries of messages, from the steps of a branch, newest first. The steps do not decide about the ids in `open`: older steps
 * may.
 */
function entriesIn(
  steps: readonly Step[],
  ids: readonly string[],
): { entries: Map<string, MessageEntry>; open: Set<string> } {
  const entries = new Map<string, MessageEntry>();
  const open = new Set(ids);
  for (const [i, { entry, added, removed, isList }] of steps.entries()) {
    if (!isList) open.clear();
    for (const id of open) {
      if (added.has(id) === removed.has(id)) continue;
      const starts = startsBefore(steps, i);
      if (!starts) return { entries, open };
      // Removed: the given state has no message with this id.
      if (added.has(id)) entries.set(id, { ...entry, ...starts });
      open.delete(id);
    }
    if (open.size === 0) break;
  }
  return { entries, open };
}

/**
 * The starts of runs that replace the messages of an entry. A run has its own copy of its start (FORK) or a checkpoint with its
 * input (INPUT): a run from such a checkpoint would be its child, not its sibling. The first checkpoint of a thread stays a start.
 * Undefined if the steps before the entry do not go far enough.
 */
function startsBefore(steps: readonly Step[], entryAt: number): Starts | undefined {
  if (steps[entryAt]?.entry.parentId === null)
    return { before: null, again: null, afterBefore: null };
  let at = entryAt + 1;
  while (steps[at]?.entry.source === 'FORK') at += 1;
  const start = steps[at]?.entry;
  if (!start) return undefined;
  const { checkpointId: again, parentId, source } = start;
  if (source === 'INPUT' && parentId !== null)
    return { again, before: parentId, afterBefore: again };
  return { again, before: again, afterBefore: steps[at - 1]?.entry.checkpointId ?? null };
}

// ── Reading ──────────────────────────────────────────────────────────────────────────────────

type StepRow = Step['entry'] & {
  isList: boolean;
  added: string[];
  removed: string[];
};

/** The steps from a checkpoint on, newest first: one more than `most`, if the branch has as many. */
async function readSteps(
  query: Query,
  checkpoint: Pick<CheckpointRow, 'threadId' | 'namespace' | 'checkpointId'>,
  most: number,
): Promise<Step[]> {
  const rows = await query<StepRow>(selectSteps(checkpoint, most), { onlyReads: true });
  return rows.map(({ isList, added, removed, ...entry }) => ({
    entry,
    isList,
    added: idsIn(added),
    removed: idsIn(removed),
  }));
}

/**
 * The walk through the parents, and for each change of the list the contents of the items in one of the two lists only. `items`
 * are sets of item numbers as multiranges.
 */
function selectSteps(
  checkpoint: Pick<CheckpointRow, 'threadId' | 'namespace' | 'checkpointId'>,
  most: number,
): Statement {
  const place = { threadId: param(checkpoint.threadId), namespace: param(checkpoint.namespace) };
  const { threadId, namespace } = place;
  const depth = param(most);
  const columns = raw(
    `"threadId", "namespace", "checkpointId", "parentId", "runId", "source", "createdAt", ("versions" ->> 'messages')::bigint AS "version"`,
  );
  return sql`WITH RECURSIVE path AS (
    SELECT 1 AS "depth", ${columns} FROM "Checkpoint"
    WHERE "threadId" = ${threadId}::uuid AND "namespace" = ${namespace} AND "checkpointId" = ${checkpoint.checkpointId}
    UNION ALL
    SELECT path."depth" + 1, c.* FROM path, LATERAL (
      SELECT ${columns} FROM "Checkpoint" WHERE "threadId" = ${threadId}::uuid AND "namespace" = ${namespace}
        AND "checkpointId" = path."parentId" ${BY_KEY}) c
    WHERE path."depth" <= ${depth}
  ), pairs AS (
    SELECT *, lead("version") OVER (ORDER BY "depth") AS "before" FROM path
  ), steps AS (
    SELECT *, "depth" <= ${depth} AND "version" IS DISTINCT FROM "before" AS "changes" FROM pairs
  )
  SELECT s."threadId", s."namespace", s."checkpointId", s."parentId", s."runId", s."source", s."createdAt",
    new."isList" AND old."isList" AS "isList",
    ${elementTexts(threadId, raw('new."items" - old."items"'))} AS "added",
    ${elementTexts(threadId, raw('old."items" - new."items"'))} AS "removed"
  FROM steps s, LATERAL (${listAt(place, raw('s."version"'))}) new, LATERAL (${listAt(place, raw('s."before"'))}) old
  ORDER BY s."depth"`;
}

/** The items of the list of messages at a version of a step; none if the step does not change the version. */
function listAt(
  { threadId, namespace }: { threadId: unknown; namespace: unknown },
  version: Statement,
): Statement {
  return sql`SELECT coalesce(bool_and(v."type" = 'list'), true) AS "isList", coalesce(range_agg(r."items"), '{}') AS "items"
    FROM (SELECT "type", "ranges" FROM "ChannelValue" WHERE "threadId" = ${threadId}::uuid AND "namespace" = ${namespace}
        AND "channel" = 'messages' AND "version" = ${version} AND s."changes" ${BY_KEY}) v
      LEFT JOIN LATERAL (SELECT int4range(v."ranges"[i], v."ranges"[i + 1], '[]') AS "items"
        FROM generate_series(1, cardinality(v."ranges"), 2) AS i) r ON true`;
}

/** Each of these items as a JSON array of its elements. */
function elementTexts(threadId: unknown, items: Statement): Statement {
  return sql`ARRAY(SELECT CASE WHEN i."type" = ${ELEMENTS} THEN t."text" ELSE '[' || t."text" || ']' END
    FROM unnest(${items}) AS r("items"),
    generate_series(lower(r."items"), upper(r."items") - 1) AS n("number"), LATERAL (
      SELECT "type", "value" FROM "ChannelItem" WHERE "threadId" = ${threadId}::uuid AND "number" = n."number"
        AND "type" IN ('json', ${ELEMENTS}) ${BY_KEY}) i, LATERAL (SELECT convert_from(i."value", 'UTF8') AS "text") t)`;
}

/** The ids of the messages in items. */
function idsIn(texts: readonly string[]): Set<string> {
  return new Set(texts.flatMap(elementsIn).flatMap((element) => idOfMessage(element) ?? []));
}

/** None for the end of a message of more than a megabyte: its start is in other items. */
function elementsIn(text: string): unknown[] {
  try {
    return JSON.parse(text) as unknown[];
  } catch {
    return [];
  }
}

/** The id of a stored message: an object of LangChain has it in its `kwargs`, and the path of its class as `id`. */
function idOfMessage(element: unknown): string | null {
  const { id, kwargs } = recordOf(element);
  return idOrNull(isRecord(kwargs) ? kwargs['id'] : id);
}
