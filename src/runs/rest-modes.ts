import type { StreamMode } from '../events/event.ts';
import type { Run } from '../generated/prisma/client.ts';

/** The stream modes of LangGraph's SDKs, with the events that the server records for them. */
const RECORDED = {
  values: ['VALUES'],
  updates: ['UPDATES'],
  // Whole messages come from the states.
  messages: ['MESSAGES', 'VALUES'],
  'messages-tuple': ['MESSAGES'],
  custom: ['CUSTOM'],
  tasks: ['TASKS'],
  checkpoints: ['CHECKPOINTS'],
  debug: ['DEBUG'],
  events: ['EVENTS'],
  tools: ['TOOLS'],
  // From the first and the last event.
  lifecycle: [],
} satisfies Record<string, StreamMode[]>;

/** A stream mode of a REST client. */
export type RestMode = keyof typeof RECORDED;

export const REST_MODES = Object.keys(RECORDED) as [RestMode, ...RestMode[]];

/** The stream modes to record for a client that asks for these modes. */
export function recordedModes(modes: readonly RestMode[]): StreamMode[] {
  return [...new Set(modes.flatMap((mode): StreamMode[] => RECORDED[mode]))];
}

const REST_NAMES: Record<StreamMode, RestMode> = {
  VALUES: 'values',
  UPDATES: 'updates',
  MESSAGES: 'messages-tuple',
  CUSTOM: 'custom',
  TASKS: 'tasks',
  CHECKPOINTS: 'checkpoints',
  DEBUG: 'debug',
  EVENTS: 'events',
  TOOLS: 'tools',
};

/** The modes of a run as a REST client named them. For a run of a GraphQL client: the names of its modes. */
export function restModesOf({ restModes, streamModes }: Run): RestMode[] {
  if (restModes.length > 0) return restModes as RestMode[];
  return streamModes.map((mode) => REST_NAMES[mode as StreamMode]);
}
