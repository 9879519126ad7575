import { isUuid, parseUuid } from '../db/uuid.ts';
import { BadInputError } from '../errors.ts';
import { assistantIdOf, type Graphs } from '../graphs/load.ts';

/** Reads the id of an assistant: a UUID, or the name of a graph for its default assistant. */
export function readAssistantId(
  { graphs }: { graphs: Graphs },
  argument: string,
  idOrGraphId: string,
): string {
  if (graphs.has(idOrGraphId)) return assistantIdOf(idOrGraphId);
  if (isUuid(idOrGraphId)) return parseUuid(argument, idOrGraphId);
  throw new BadInputError(
    argument,
    (name) =>
      `${name(argument)} is neither a UUID nor the name of a graph; the graphs are: ${listOf(graphs)}.`,
  );
}

/** Whether this is the default assistant of a graph. The id decides: clients can write any metadata. */
export function isDefaultAssistant({ graphs }: { graphs: Graphs }, id: string): boolean {
  return graphs.ids.some((graphId) => assistantIdOf(graphId) === id);
}

/** Throws a BadInputError with the names of the graphs. */
export function checkGraphId(
  { graphs }: { graphs: Graphs },
  argument: string,
  graphId: string,
): void {
  if (graphs.has(graphId)) return;
  throw new BadInputError(
    argument,
    `There is no graph "${graphId}"; the graphs are: ${listOf(graphs)}.`,
  );
}

function listOf({ ids }: Graphs): string {
  return ids.join(', ') || 'none';
}

const LONGEST_NAME = 255;

/** Names are indexed, and PostgreSQL cannot index long texts. */
export function checkName(argument: string, name: string | null | undefined): void {
  if (name != null && name.length > LONGEST_NAME) {
    throw new BadInputError(
      argument,
      (name) => `${name(argument)} is longer than ${LONGEST_NAME} characters.`,
    );
  }
}
