import type { Config } from '../config.ts';
import { LimitError } from '../errors.ts';
import type { Instruction } from '../graphs/command.ts';

/** A round of updates. It creates a single checkpoint. */
export interface Superstep {
  updates: readonly StateUpdate[];
}

export interface StateUpdate {
  values?: unknown;
  /** The update counts as an output of this node; the edges of the node decide the next step. */
  asNode?: string | null | undefined;
  command?: CommandUpdate | null | undefined;
}

/** `resume` is refused: an update answers no interrupt. */
export interface CommandUpdate extends Instruction {
  resume?: unknown;
}

/**
 * Refuses supersteps with too much work, before their execution. Each superstep reads and stores the whole state. So each written
 * value counts in its superstep and in each later superstep.
 */
export function checkSuperstepWork(
  { superstepLimit: most }: Pick<Config, 'superstepLimit'>,
  argument: string,
  supersteps: readonly Superstep[],
): void {
  let values = 0;
  let work = 0;
  for (const { updates } of supersteps) {
    for (const { values: given, command } of updates)
      values += countValues(given) + countValues(command?.update);
    work += values;
  }
  if (work <= most) return;
  throw new LimitError(
    (name) =>
      `${name(argument)} write ${work} values, each counted in its superstep and in all later supersteps; at most ${most} are allowed.`,
    'SUPERSTEP_LIMIT',
    argument,
  );
}

/** The number of values in a JSON value, including the value itself. */
function countValues(value: unknown): number {
  const found = value === undefined ? [] : [value];
  // The list grows during the iteration.
  for (const each of found) {
    if (typeof each === 'object' && each !== null)
      for (const inner of Object.values(each)) found.push(inner);
  }
  return found.length;
}
