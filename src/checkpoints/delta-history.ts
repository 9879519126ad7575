import type {
  CheckpointPendingWrite,
  DeltaChannelHistory,
  SerializerProtocol,
} from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { findCheckpoint, type CheckpointRow } from './find.ts';
import { loadContent, type Content, type ValueRow, type WriteRow } from './load.ts';
import { NO_RUN } from './store-statement.ts';
import { orderWrites } from './tuples.ts';
import { loadValue } from './decode.ts';

interface Place {
  threadId: string;
  namespace: string;
  /** Undefined: the newest of the namespace. */
  checkpointId: string | undefined;
}

/**
 * The content of DeltaChannels at a checkpoint: for each channel its last full value, and the writes since then, oldest first.
 *
 * The writes of all branches that begin at a checkpoint are stored with it. LangGraph 1.5 and newer stores the full value at the
 * start of a branch. Older versions replay all given writes, so the writes of other branches are left out.
 */
export async function readDeltaHistory(
  query: Query,
  place: Place,
  { channels, by }: { channels: readonly string[]; by: SerializerProtocol },
): Promise<Record<string, DeltaChannelHistory>> {
  const found = new Map(
    channels.map((each): [string, DeltaChannelHistory] => [each, { writes: [] }]),
  );
  const open = new Map(found);
  for await (const { writes, values, items } of walkBack(query, place, channels)) {
    for (const [channel, history] of open) {
      const own = writes.filter((row) => row.channel === channel);
      const loaded = await Promise.all(own.map((row) => loadValue(by, items, row)));
      history.writes.unshift(
        ...own.map((row, i): CheckpointPendingWrite => [row.taskId, channel, loaded[i]]),
      );
      const value = values.get(channel);
      if (!value) continue;
      history.seed = await loadValue(by, items, value);
      open.delete(channel);
    }
    if (open.size === 0) break;
  }
  return Object.fromEntries(found);
}

/** An ancestor of a checkpoint. */
interface Ancestor {
  /** The writes that led to the next checkpoint on the way. */
  writes: readonly WriteRow[];
  values: ReadonlyMap<string, ValueRow>;
  items: Content['items'];
}

/** The ancestors of a checkpoint with the stored values of these channels, the nearest first. */
async function* walkBack(
  query: Query,
  { threadId, ...place }: Place,
  channels: readonly string[],
): AsyncGenerator<Ancestor> {
  let child = await findCheckpoint(query, threadId, place);
  while (child) {
    const parents = await listAncestors(query, child);
    const { values, writes, items } = await loadContent(
      query,
      parents.map((row) => ({ ...row, versions: pick(row.versions, channels) })),
    );
    for (const [i, parent] of parents.entries()) {
      const next = parents[i - 1] ?? child;
      const ownWrites = writes.filter(
        (row) =>
          row.checkpointId === parent.checkpointId && madeChild(row, { parent, child: next }),
      );
      const ownValues = values.filter(
        ({ channel, version }) => parent.versions[channel] === version,
      );
      yield {
        writes: orderWrites(ownWrites),
        values: new Map(ownValues.map((row) => [row.channel, row])),
        items,
      };
    }
    child = parents.at(-1);
  }
}

interface Parent extends CheckpointRow {
  /** The runs that made its children; for an edit by hand, NO_RUN. */
  runIds: string[];
}

/** The number of checkpoints in one read. */
const PAGE_SIZE = 50;

/** The nearest ancestors of a checkpoint, its parent first. */
function listAncestors(
  query: Query,
  { threadId, namespace, parentId }: CheckpointRow,
): Promise<Parent[]> {
  return query<Parent>(
    sql`WITH RECURSIVE line AS (
      SELECT c.*, 1 AS "distance" FROM "Checkpoint" c
      WHERE c."threadId" = ${threadId} AND c."namespace" = ${namespace} AND c."checkpointId" = ${parentId}::uuid
      UNION ALL
      SELECT c.*, line."distance" + 1 FROM line JOIN "Checkpoint" c
        ON c."threadId" = ${threadId} AND c."namespace" = ${namespace} AND c."checkpointId" = line."parentId"
      WHERE line."distance" < ${PAGE_SIZE}
    )
    SELECT line.*, ARRAY(SELECT coalesce(c."runId", ${NO_RUN}::uuid) FROM "Checkpoint" c
      WHERE c."threadId" = ${threadId} AND c."namespace" = ${namespace} AND c."parentId" = line."checkpointId") AS "runIds"
    FROM line ORDER BY "distance"`,
    { onlyReads: true },
  );
}

/**
 * True if a write on the parent belongs to this child. A run or an edit writes on the checkpoint where it starts. If a run has
 * made no checkpoint from there, the next run takes its writes. A run with an input, or a fork, drops them.
 */
function madeChild(
  { runId }: WriteRow,
  { parent, child }: { parent: Parent; child: CheckpointRow },
): boolean {
  if (runId === (child.runId ?? NO_RUN)) return true;
  const isFresh = child.source === 'INPUT' || child.source === 'FORK';
  return !isFresh && !parent.runIds.includes(runId);
}

function pick<Value>(
  values: Record<string, Value>,
  keys: readonly string[],
): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).filter(([key]) => keys.includes(key)));
}
