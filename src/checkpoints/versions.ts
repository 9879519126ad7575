import type { ChannelVersions, Checkpoint } from '@langchain/langgraph-checkpoint';
import { randomInt } from 'node:crypto';

const VERSION_STEP = 2 ** 32;

/** A new version with this count. No other version is equal to it. */
export const createVersion = (count: number): number =>
  count * VERSION_STEP + randomInt(1, VERSION_STEP);

export const countOf = (version: number): number => Math.floor(version / VERSION_STEP);

/** A new version with the same count. */
export const renewVersion = (version: number): number => createVersion(countOf(version));

/** The version of a channel without writes. It is below 0: for LangGraph, no node has seen the channel. */
const UNWRITTEN = -VERSION_STEP;

/**
 * Gives the values of `channels` new versions, and returns these too. A new version has the count of the old one, and replaces it
 * everywhere: LangGraph compares versions.
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
