import type { VariablesOf } from '../../data/graphql.ts';
import { pageOf } from '../filters/page.ts';
import type { LIST_RUNS } from './documents.ts';
import { ENDED, IN_FLIGHT, type RunsSearch } from './search.ts';

type Variables = Omit<VariablesOf<typeof LIST_RUNS>, 'withAssistants'>;
export type RunFilter = NonNullable<Variables['filter']>;

/** The filter without the status, for the counts by status. */
export function runFilter({ assistant, graph, thread }: RunsSearch): RunFilter {
  return {
    ...(assistant && { assistantId: assistant }),
    ...(graph && { graphId: graph }),
    ...(thread && { threadId: thread }),
  };
}

/** The runs in flight that stand before the pages of ended runs. */
export function inFlightVariables(search: RunsSearch): Variables {
  return { filter: { ...runFilter(search), status: [...IN_FLIGHT] }, ...pageOf({}) };
}

/** The pages of the list: the runs with the chosen statuses, or the ended runs, the last one first. */
export function pageVariables(search: RunsSearch): Variables {
  const { status } = search;
  return {
    filter: { ...runFilter(search), status: status ?? [...ENDED] },
    orderBy: { field: status ? 'CREATED_AT' : 'FINISHED_AT', direction: 'DESC' },
    ...pageOf(search),
  };
}

/** The runs that a cancellation of the whole list would stop. Undefined if the list has only ended runs. */
export function cancelFilter(search: RunsSearch): RunFilter | undefined {
  const { status: chosen = IN_FLIGHT } = search;
  const status = IN_FLIGHT.filter((each) => (chosen as readonly string[]).includes(each));
  return status.length > 0 ? { ...runFilter(search), status } : undefined;
}
