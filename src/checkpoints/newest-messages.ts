import type { CompiledGraph } from '../graphs/load.ts';
import { findSubgraph } from '../graphs/subgraphs.ts';
import { inTurn, type Reading } from './graphs.ts';
import { findItem, readLatest, type End, type Latest, type List } from './latest.ts';
import { MessageMissingError, messagesIn, pageOf, type MessagePage } from './message.ts';
import { toPlain, type PlainMessage } from './plain.ts';
import type { CheckpointRow } from './find.ts';
import { serdeOf } from './serde.ts';

/** The messages of checkpoints, read from parts of their stored lists. */
export interface Newest {
  /**
   * A page of the messages of a checkpoint with this graph, oldest first, as clients see them. Undefined: the page has to be read
   * from the whole state. Throws MessageMissingError.
   */
  messages(
    row: CheckpointRow,
    served: CompiledGraph | undefined,
    page: MessagePage,
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
  const list = { channel: MESSAGES, current };
  const reads = new Map<number, Promise<Map<string, Latest>>>();
  function readOnce(most: number): Promise<Map<string, Latest>> {
    const read = reads.get(most) ?? readEnds(rows, { most, behind: 0 });
    reads.set(most, read);
    return read;
  }
  const readEnds = (of: readonly CheckpointRow[], end: Pick<End, 'most' | 'behind'>) =>
    inTurn(app, () => readLatest(app.sql.query, of, { ...list, ...end }, app.operation));

  return {
    async messages(row, served, page) {
      if (!showsAsStored(served, row.namespace)) return undefined;
      const { count, before } = page;
      const behind = before === undefined ? 0 : await itemsBehind(app, row, { ...list, before });
      if (behind === undefined) return undefined;
      // Not every element is a message, and not every item is an element: then the next read takes more items.
      for (let most = count + 1; ; most *= 4) {
        const ends = before === undefined ? readOnce(most) : readEnds([row], { most, behind });
        const latest = (await ends).get(row.checkpointId);
        if (!latest) return undefined;
        const messages = pageOf(await decodeMessages(app, latest, { row, served }), page);
        // The item has the id in a different place, such as a tool call.
        if (!messages) return undefined;
        if (messages.length >= count || latest.isWhole) return messages;
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

async function decodeMessages(
  app: Reading,
  latest: Latest,
  { row, served }: { row: CheckpointRow; served: CompiledGraph | undefined },
): Promise<PlainMessage[]> {
  return inTurn(app, async () => {
    const elements = latest.isUnwritten
      ? firstMessages(served, row.namespace)
      : await latest.decode(serdeOf(served));
    return messagesIn(toPlain({ [MESSAGES]: elements }));
  });
}

/**
 * The number of items behind the item with the message `before`. Undefined if the whole list has to be read. Throws
 * MessageMissingError.
 */
async function itemsBehind(
  app: Reading,
  row: CheckpointRow,
  { before, ...list }: List & { before: string },
): Promise<number | undefined> {
  const texts = jsonOfId(before);
  const found = await inTurn(app, () => findItem(app.sql.query, row, { ...list, texts }));
  if (found && found.behind === null) throw new MessageMissingError(before);
  return found?.isPart ? undefined : (found?.behind ?? undefined);
}

/** The texts for an id in the JSON of a message. A stored id may be a whole number. */
function jsonOfId(id: string): string[] {
  const text = `"id":${JSON.stringify(id)}`;
  return String(Number(id)) === id ? [text, `"id":${id},`, `"id":${id}}`] : [text];
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
