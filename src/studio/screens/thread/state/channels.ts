import { useState } from 'react';
import { useQuery, type CombinedError } from 'urql';
import { READ_CHANNELS, type Channel } from './documents.ts';

/** A larger channel comes only when a person asks for it. */
const LARGE_CHANNEL_BYTES = 256_000;
/** So many bytes of a state come at once. */
const STATE_BYTES = 1_000_000;
/** The server reads at most so many channels in one field. */
const MOST_CHANNELS = 100;

/** The channels of a state that come at once: the small ones. `asked` come in any case. */
export function chooseChannels(
  channels: readonly Channel[],
  asked: readonly string[] = [],
): { chosen: string[]; withheld: Channel[] } {
  const chosen: string[] = [];
  const withheld: Channel[] = [];
  let bytes = 0;
  for (const channel of channels.toSorted((a, b) => a.bytes - b.bytes)) {
    const isSmall =
      channel.bytes <= LARGE_CHANNEL_BYTES &&
      bytes + channel.bytes <= STATE_BYTES &&
      chosen.length < MOST_CHANNELS - asked.length;
    if (isSmall || asked.includes(channel.name)) chosen.push(channel.name);
    else withheld.push(channel);
    if (isSmall) bytes += channel.bytes;
  }
  return { chosen, withheld };
}

/** The channels of two states, each with its larger size. */
export function joinChannels(one: readonly Channel[], other: readonly Channel[]): Channel[] {
  const sizes = new Map<string, Channel>();
  for (const channel of [...one, ...other]) {
    const known = sizes.get(channel.name);
    if (!known || known.bytes < channel.bytes) sizes.set(channel.name, channel);
  }
  return [...sizes.values()];
}

/** The place of a state. */
export interface Place {
  threadId: string;
  checkpointId: string;
  namespace: string;
}

/** The values of some channels of a state; undefined until they have come. */
export function useChannels(
  place: Place,
  channels: string[],
): { values: Record<string, unknown> | undefined; error: CombinedError | undefined } {
  const { threadId: id, checkpointId, namespace } = place;
  const isEmpty = channels.length === 0;
  const [{ data, error }] = useQuery({
    query: READ_CHANNELS,
    variables: { id, checkpointId, namespace, channels },
    pause: isEmpty,
  });
  if (isEmpty) return { values: NO_VALUES, error: undefined };
  const state = data?.thread?.state;
  const isHere = state?.checkpointId === checkpointId;
  return { values: isHere ? (state.values as Record<string, unknown>) : undefined, error };
}

const NO_VALUES = {};

/** The large channels that a person has asked for, while one state is shown. */
export function useAsked(checkpointId: string): [string[], (name: string) => void] {
  const [asked, setAsked] = useState<{ of: string; names: string[] }>({ of: '', names: [] });
  const names = asked.of === checkpointId ? asked.names : NO_NAMES;
  return [names, (name) => setAsked({ of: checkpointId, names: [...names, name] })];
}

const NO_NAMES: string[] = [];
