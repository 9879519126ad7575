import { StateLimitError } from '../errors.ts';
import { remember } from '../remember.ts';
import { checkpointKey, type CheckpointAddress } from './address.ts';
import type { NewCheckpoint, NewWrites } from './records.ts';
import { sizeOf, sum } from './units.ts';

// The size of a state is the sum of the stored bytes of its channels, mostly JSON. If two values share an item, the item counts
// twice.

/** The bytes of the channels of a checkpoint. */
export type ChannelSizes = ReadonlyMap<string, { version: number; bytes: number }>;

/** Knows the sizes of states and refuses states above the limit. */
export interface StateLimit {
  readonly mostBytes: number;
  /** Learns the sizes of a checkpoint from the database. */
  learn(address: CheckpointAddress, sizes: ChannelSizes): void;
  /** Throws StateLimitError if the state, or the writes of the tasks of a step, have too many bytes. */
  check(record: NewCheckpoint | NewWrites): void;
}

/** The number of checkpoints to remember. The parent of a new checkpoint is one of the newest. */
const MOST_KNOWN = 1000;

export function createStateLimit(mostBytes: number): StateLimit {
  const known = new Map<string, ChannelSizes>();
  /** By checkpoint, the bytes of the writes of each task. */
  const written = new Map<string, Map<string, number>>();

  function checkCheckpoint({ namespace, parentId, checkpoint, values }: NewCheckpoint): void {
    const before = known.get(checkpointKey({ namespace, checkpointId: parentId ?? '' }));
    const fresh = new Map(values.map(({ channel, value }) => [channel, sizeOf(value)]));
    const sizes = new Map<string, { version: number; bytes: number }>();
    for (const [channel, stored] of Object.entries(checkpoint.channel_versions)) {
      const version = Number(stored);
      const kept = before?.get(channel);
      const bytes = fresh.get(channel) ?? (kept?.version === version ? kept.bytes : 0);
      sizes.set(channel, { version, bytes });
    }
    remember(known, checkpointKey({ namespace, checkpointId: checkpoint.id }), sizes, MOST_KNOWN);
    const of = namespace === '' ? '' : ` in the namespace "${namespace}"`;
    refuseAbove(`The state${of} would have`, sum(Array.from(sizes.values(), ({ bytes }) => bytes)));
  }

  function checkWrites({ namespace, checkpointId, taskId, writes }: NewWrites): void {
    const key = checkpointKey({ namespace, checkpointId });
    const byTask = written.get(key) ?? new Map<string, number>();
    byTask.set(taskId, sum(writes.map(({ value }) => sizeOf(value))));
    remember(written, key, byTask, MOST_KNOWN);
    refuseAbove('The tasks of a step wrote', sum(byTask.values()));
  }

  function refuseAbove(what: string, bytes: number): void {
    if (bytes > mostBytes) throw new StateLimitError(`${what} ${bytes} bytes`, mostBytes);
  }

  return {
    mostBytes,
    learn: (address, sizes) => remember(known, checkpointKey(address), sizes, MOST_KNOWN),
    check: (record) => ('checkpoint' in record ? checkCheckpoint(record) : checkWrites(record)),
  };
}
