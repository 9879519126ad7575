import type { Config } from '../config.ts';
import { LimitError } from '../errors.ts';
import type { Instruction } from '../graphs/command.ts';

/** One round of updates: it makes one checkpoint. */
export interface Superstep {
  updates: readonly StateUpdate[];
}

export interface StateUpdate {
  values?: unknown;
  /** The node as which the update is made; it decides which node comes next. */
  asNode?: string | null | undefined;
  command?: CommandUpdate | null | undefined;
}

/** Nobody is asked anything here: there is nothing to resume. */
export interface CommandUpdate extends Instruction {
  resume?: unknown;
}

/**
 * Refuses supersteps that take too much work, before any of it is done. Each superstep reads and stores the whole state, so that
 * what one writes counts once for it and once for each superstep after it.
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
    `${argument} write ${work} values, each counted in its superstep and in all later ones; at most ${most} are allowed.`,
    'SUPERSTEP_LIMIT',
    argument,
  );
}

/** Objects, lists, texts, numbers and others in a JSON value, the value itself included. */
function countValues(value: unknown): number {
  const found = value === undefined ? [] : [value];
  // The list grows while it is read.
  for (const each of found) {
    if (typeof each === 'object' && each !== null)
      for (const inner of Object.values(each)) found.push(inner);
  }
  return found.length;
}
