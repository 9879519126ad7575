import type { App } from '../app.ts';
import { BadInputError } from '../errors.ts';
import { assistantIdOf } from '../graphs/load.ts';
import { isUuid, parseUuid } from '../uuid.ts';

/** An assistant's id as a client gives it: a UUID, or a graph's name for its default assistant. */
export function readAssistantId(
  { graphs }: Pick<App, 'graphs'>,
  argument: string,
  idOrGraphId: string,
): string {
  if (graphs.has(idOrGraphId)) return assistantIdOf(idOrGraphId);
  if (isUuid(idOrGraphId)) return parseUuid(argument, idOrGraphId);
  throw new BadInputError(
    argument,
    `${argument} is neither a UUID nor the name of a graph; the graphs are: ${listOf(graphs)}.`,
  );
}

/** Whether a graph's name stands for this assistant. Metadata does not make one the default: anybody can write it. */
export function isDefaultAssistant({ graphs }: Pick<App, 'graphs'>, id: string): boolean {
  return graphs.ids.some((graphId) => assistantIdOf(graphId) === id);
}

/** Throws a BadInputError that says which graphs there are. */
export function checkGraphId(
  { graphs }: Pick<App, 'graphs'>,
  argument: string,
  graphId: string,
): void {
  if (graphs.has(graphId)) return;
  throw new BadInputError(
    argument,
    `There is no graph "${graphId}"; the graphs are: ${listOf(graphs)}.`,
  );
}

function listOf({ ids }: App['graphs']): string {
  return ids.join(', ') || 'none';
}

const LONGEST_NAME = 255;

/** Names are indexed, and PostgreSQL indexes nothing that is long. */
export function checkName(argument: string, name: string | null | undefined): void {
  if (name != null && name.length > LONGEST_NAME) {
    throw new BadInputError(argument, `${argument} is longer than ${LONGEST_NAME} characters.`);
  }
}
