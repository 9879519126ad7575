import type { ThreadOptions } from '../../../../client/client.ts';

type RunFields = NonNullable<ThreadOptions['run']>;

/** How the next run is made, as a person chooses it. */
export interface RunOptions {
  multitaskStrategy: NonNullable<RunFields['multitaskStrategy']>;
  /** Names of nodes, with commas; `*` for each node. */
  stopBefore: string;
  stopAfter: string;
}

export const DEFAULT_OPTIONS: RunOptions = {
  multitaskStrategy: 'ENQUEUE',
  stopBefore: '',
  stopAfter: '',
};

/** The behaviour of a run while another run executes, in words. */
export const STRATEGIES: Record<RunOptions['multitaskStrategy'], string> = {
  ENQUEUE: 'Wait for the run before',
  INTERRUPT: 'Stop the run before, keep its steps',
  ROLLBACK: 'Stop the run before, undo its steps',
  REJECT: 'Refuse while a run executes',
};

/** The fields of the run. All events are recorded, so that each view of the thread can show them. */
export function runFields({ multitaskStrategy, stopBefore, stopAfter }: RunOptions): RunFields {
  return {
    multitaskStrategy,
    streamModes: ['UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'],
    streamSubgraphs: true,
    ...(stopBefore.trim() && { interruptBefore: names(stopBefore) }),
    ...(stopAfter.trim() && { interruptAfter: names(stopAfter) }),
  };
}

function names(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
}
