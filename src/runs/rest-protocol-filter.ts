import { z } from 'zod';

const CHANNELS = [
  'values',
  'updates',
  'messages',
  'tools',
  'lifecycle',
  'input',
  'checkpoints',
  'tasks',
  'custom',
] as const;

/** A group of events: a name, or `custom:` with the name of a writer's events. */
const channel = z
  .string()
  .refine((name) => (CHANNELS as readonly string[]).includes(name) || /^custom:./.test(name), {
    message: `is not a channel: use ${CHANNELS.join(', ')} or custom:<name>`,
  });

const path = z.array(z.string());

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** The events that a client wants. */
export const EventFilter = z.looseObject({
  channels: z.array(channel).min(1).max(100),
  namespaces: z
    .array(path)
    .max(1000)
    .nullish()
    .describe('Beginnings of namespaces. A name without its id stands for all its tasks.'),
  depth: count.nullish().describe('The most levels below one of the namespaces.'),
  since: count.nullish().describe('Only events with a larger seq; 0 for all stored events.'),
});

export type EventFilter = z.infer<typeof EventFilter>;

interface Filtered {
  channel: string;
  namespace: readonly string[];
}

export function isWanted(
  { channels, namespaces, depth }: EventFilter,
  { channel, namespace }: Filtered,
): boolean {
  const isInChannel =
    channels.includes(channel) || (channel.startsWith('custom:') && channels.includes('custom'));
  if (!isInChannel) return false;
  // Without namespaces, clients expect events of every depth.
  if (!namespaces || namespaces.length === 0) return true;
  return namespaces.some(
    (start) =>
      startsWith(namespace, start) && (depth == null || namespace.length - start.length <= depth),
  );
}

function startsWith(namespace: readonly string[], start: readonly string[]): boolean {
  return start.every((name, i) => {
    const own = namespace[i];
    return own === name || (!name.includes(':') && own?.split(':', 1)[0] === name);
  });
}
