import type { ChannelVersions, Checkpoint } from '@langchain/langgraph-checkpoint';
import { randomInt } from 'node:crypto';

const VERSION_STEP = 2 ** 32;

/** A version, unlike every other of that count. */
export const createVersion = (count: number): number =>
  count * VERSION_STEP + randomInt(1, VERSION_STEP);

export const countOf = (version: number): number => Math.floor(version / VERSION_STEP);

/** Another version, of the same age. */
export const renewVersion = (version: number): number => createVersion(countOf(version));

/** Of a channel that no step has written: less than 0, which LangGraph takes for what nobody has seen. */
const UNWRITTEN = -VERSION_STEP;

/**
 * The checkpoint with versions of their own for the values of `channels`, and all versions that are new. LangGraph
 * compares versions: each is as old as the one before, everywhere.
 */
export function renewVersions(
  checkpoint: Checkpoint,
  channels: readonly string[],
): { checkpoint: Checkpoint; renewed: ChannelVersions } {
  const { channel_versions: before, versions_seen: seenBefore } = checkpoint;
  const unwritten = Object.fromEntries(channels.map((channel) => [channel, UNWRITTEN]));
  const renewals = new Map<unknown, number>();
  for (const channel of channels) {
    const version = Number(before[channel] ?? UNWRITTEN);
    renewals.set(version, renewals.get(version) ?? renewVersion(version));
  }
  const renew = (versions: ChannelVersions) =>
    mapValues(versions, (version) => renewals.get(version) ?? version);
  const versions = renew({ ...unwritten, ...before });
  const renewed = Object.entries(versions).filter(([name, version]) => version !== before[name]);
  return {
    checkpoint: {
      ...checkpoint,
      channel_versions: versions,
      versions_seen: mapValues(seenBefore, renew),
    },
    renewed: Object.fromEntries(renewed),
  };
}

function mapValues<Value, Mapped>(
  values: Record<string, Value>,
  map: (value: Value) => Mapped,
): Record<string, Mapped> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}
