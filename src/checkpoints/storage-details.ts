import type { Query } from '../db/query.ts';
import { param, sql } from '../db/sql.ts';
import { rowBytes } from './storage.ts';

/** Stored rows. */
interface Stored {
  count: number;
  /** After the compression by PostgreSQL. */
  bytes: number;
}

/** The values of a channel in all states of a thread and of its subgraphs. */
export interface ChannelStorage {
  channel: string;
  /** The number of stored values. */
  versions: number;
  /** With the items of its values. Several channels may share an item, which then counts for each of them. */
  bytes: number;
}

/** What a thread stores, in parts. The bytes of the parts are those of the thread. */
export interface StorageDetails {
  checkpoints: Stored;
  /** With the items of values, each once. */
  values: Stored;
  /** The writes of tasks, with the items that no value has. */
  writes: Stored;
  /** The largest first. */
  channels: ChannelStorage[];
}

/** Measures a thread without a read of its contents. */
export async function readStorageDetails(query: Query, threadId: string): Promise<StorageDetails> {
  const id = param(threadId);
  const ofThread = sql`"threadId" = ${id}::uuid`;
  const [row] = await query<StorageDetails>(
    sql`WITH by_channel AS MATERIALIZED (
      SELECT "channel", count(*) AS "versions", sum(${rowBytes('ChannelValue')}) AS "bytes" FROM "ChannelValue"
      WHERE ${ofThread} GROUP BY "channel"
    ), ranges AS MATERIALIZED (
      SELECT "channel", range_agg(int4range("ranges"[i], "ranges"[i + 1], '[]')) AS "numbers"
      FROM "ChannelValue", generate_series(1, cardinality("ranges"), 2) AS i WHERE ${ofThread} GROUP BY "channel"
    ), items AS MATERIALIZED (
      SELECT "number", ${rowBytes('ChannelItem')} AS "bytes" FROM "ChannelItem" WHERE ${ofThread}
    ), shares AS MATERIALIZED (
      SELECT ranges."channel", sum(items."bytes") AS "bytes" FROM ranges JOIN items ON items."number" <@ ranges."numbers"
      GROUP BY ranges."channel"
    ), used AS MATERIALIZED (
      SELECT coalesce(sum("bytes") FILTER (WHERE "number" <@ (SELECT range_agg("numbers") FROM ranges)), 0) AS "bytes",
        coalesce(sum("bytes"), 0) AS "all" FROM items
    )
    SELECT (SELECT json_build_object('count', count(*), 'bytes', coalesce(sum(${rowBytes('Checkpoint')}), 0)
        + (SELECT coalesce(sum(${rowBytes('CheckpointHead')}), 0) FROM "CheckpointHead" WHERE ${ofThread}))
        FROM "Checkpoint" WHERE ${ofThread}) AS "checkpoints",
      (SELECT json_build_object('count', coalesce(sum("versions"), 0), 'bytes', coalesce(sum("bytes"), 0) + (SELECT "bytes" FROM used))
        FROM by_channel) AS "values",
      (SELECT json_build_object('count', count(*), 'bytes', coalesce(sum(${rowBytes('CheckpointWrite')}), 0)
        + (SELECT "all" - "bytes" FROM used)) FROM "CheckpointWrite" WHERE ${ofThread}) AS "writes",
      (SELECT coalesce(json_agg(json_build_object('channel', c."channel", 'versions', c."versions",
          'bytes', c."bytes" + coalesce(s."bytes", 0)) ORDER BY c."bytes" + coalesce(s."bytes", 0) DESC, c."channel"), '[]')
        FROM by_channel c LEFT JOIN shares s ON s."channel" = c."channel") AS "channels"`,
    { onlyReads: true, takesLong: true },
  );
  if (!row) throw new Error('A statement without a table returned no row.');
  return row;
}
