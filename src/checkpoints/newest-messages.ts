import type { CompiledGraph } from '../graphs/load.ts';
import { findSubgraph } from '../graphs/subgraphs.ts';
import { inTurn, type Reading } from './graphs.ts';
import { readLatest, type Latest } from './latest.ts';
import { messagesIn } from './message.ts';
import { toPlain, type PlainMessage } from './plain.ts';
import type { CheckpointRow } from './find.ts';
import { serdeOf } from './serde.ts';

/** The newest messages of checkpoints, read from the ends of their stored lists. */
export interface Newest {
  /**
   * The messages of a checkpoint with this graph, oldest first, as clients see them. Undefined: they have to be read from the
   * whole state.
   */
  messages(
    row: CheckpointRow,
    served: CompiledGraph | undefined,
    count: number,
  ): Promise<PlainMessage[] | undefined>;
  /** The checkpoints without a stored list of messages, or with a write on top that counts. */
  withoutList(): Promise<CheckpointRow[]>;
}

/** Finds the newest messages of checkpoints of one namespace, with common statements for all of them. */
export function newestOf(
  app: Reading,
  rows: readonly CheckpointRow[],
  { current }: { current: boolean },
): Newest {
  const reads = new Map<number, Promise<Map<string, Latest>>>();
  function readOnce(most: number): Promise<Map<string, Latest>> {
    const end = { channel: MESSAGES, most, current };
    const read =
      reads.get(most) ?? inTurn(app, () => readLatest(app.sql.query, rows, end, app.operation));
    reads.set(most, read);
    return read;
  }
  return {
    async messages({ checkpointId, namespace }, served, count) {
      if (!showsAsStored(served, namespace)) return undefined;
      // Not every element is a message, and not every item is an element: then the next read takes more items.
      for (let most = count + 1; ; most *= 4) {
        const latest = (await readOnce(most)).get(checkpointId);
        if (!latest) return undefined;
        const messages = await inTurn(app, async () => {
          const list = latest.isUnwritten
            ? firstMessages(served, namespace)
            : await latest.decode(serdeOf(served));
          return messagesIn(toPlain({ [MESSAGES]: list }));
        });
        if (messages.length >= count || latest.isWhole) return messages.slice(-count);
      }
    },
    async withoutList() {
      // All reads find the same lists.
      const [read] = reads.values();
      const lists = await read;
      return rows.filter(({ checkpointId }) => !lists?.has(checkpointId));
    },
  };
}

/** The channel of the messages. */
const MESSAGES = 'messages';

/** The channels that show a list as it is stored. */
const AS_STORED = new Set(['LastValue', 'BinaryOperatorAggregate']);

/** The initial messages of a graph; undefined without a graph. */
function firstMessages(served: CompiledGraph | undefined, namespace: string): unknown {
  const channel = (served && findSubgraph(served, namespace))?.channels[MESSAGES];
  const fresh = channel && 'fromCheckpoint' in channel ? channel.fromCheckpoint() : undefined;
  return fresh?.isAvailable() ? fresh.get() : undefined;
}

/** True if the values of a state show the messages as they are stored. Without a graph they do. */
export function showsAsStored(served: CompiledGraph | undefined, namespace: string): boolean {
  const graph = served && findSubgraph(served, namespace);
  if (!graph) return true;
  const shown: unknown = graph.streamChannelsAsIs;
  const channel = graph.channels[MESSAGES] as { lc_graph_name?: string } | undefined;
  return (
    Array.isArray(shown) && shown.includes(MESSAGES) && AS_STORED.has(channel?.lc_graph_name ?? '')
  );
}
