import type { StateSnapshot } from '@langchain/langgraph';
import type { App } from '../app.ts';
import type { Page, PageRequest } from '../db/page.ts';
import { bySeq, conditions, readPage } from '../db/page.ts';
import { BadInputError } from '../errors.ts';
import type { CheckpointSource, Interrupt } from '../generated/prisma/client.ts';
import { parseUuid } from '../uuid.ts';
import { namesIn } from './interrupts.ts';
import { statesOf, type State } from './states.ts';
import { findCheckpoint, type CheckpointRow } from './store.ts';

/**
 * The questions that these tasks of a namespace asked, oldest first: each task's latest, where it asked several times. Of
 * what a graph within a task asks at once LangGraph lists one: the others are found by what is open below it.
 */
export async function interruptsOf(
  { sql }: Pick<App, 'sql'>,
  { threadId, namespace }: { threadId: string; namespace: string },
  tasks: readonly Pick<StateSnapshot['tasks'][number], 'id' | 'name' | 'interrupts'>[],
): Promise<Interrupt[]> {
  const asking = tasks.filter(({ interrupts }) => interrupts.length > 0);
  if (asking.length === 0) return [];
  const ids = asking.flatMap(({ interrupts }) => interrupts.map(({ id: each }) => each ?? ''));
  const below = asking.flatMap(({ id, name }) => {
    const own = [namespace, `${name}:${id}`].filter(Boolean).join('|');
    return [own, namesIn(own)];
  });
  return sql.query<Interrupt>(
    `SELECT * FROM (
       SELECT DISTINCT ON ("langgraphId") * FROM "Interrupt"
       WHERE "threadId" = $1 AND ("langgraphId" = ANY($2) OR "pending" AND EXISTS (
         SELECT 1 FROM unnest($3::text[]) AS place WHERE "namespace" = place OR starts_with("namespace", place || '|')))
       ORDER BY "langgraphId", "ordinal" DESC
     ) latest ORDER BY "seq"`,
    [threadId, ids, below],
  );
}

export interface CheckpointFilter {
  namespace: string;
  source?: readonly CheckpointSource[] | null | undefined;
  step?: number | null | undefined;
  runId?: string | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
}

/** Every state that a thread has been in, all branches, newest first. */
export async function readHistory(
  app: Pick<App, 'sql' | 'graphs'>,
  threadId: string,
  {
    filter,
    olderThan,
    ...page
  }: PageRequest & { filter: CheckpointFilter; olderThan?: string | null | undefined },
): Promise<Page<State>> {
  const { where, filters, params, add, addFilter } = conditions();
  add((id) => `"threadId" = ${id}`, threadId);
  add((namespace) => `"namespace" = ${namespace}`, filter.namespace);
  if (filter.source)
    addFilter((list) => `"source" = ANY(${list}::"CheckpointSource"[])`, filter.source);
  if (filter.step != null) addFilter((step) => `"step" = ${step}`, filter.step);
  if (filter.runId != null)
    addFilter((id) => `"runId" = ${id}`, parseUuid('filter.runId', filter.runId));
  if (filter.metadata)
    addFilter((object) => `"metadata" @> ${object}::jsonb`, JSON.stringify(filter.metadata));
  if (olderThan != null) {
    const id = parseUuid('olderThan', olderThan);
    const older = await findCheckpoint(app.sql.query, threadId, {
      namespace: filter.namespace,
      checkpointId: id,
    });
    if (!older) throw new BadInputError('olderThan', `${id} is not a checkpoint of this thread.`);
    add((seq) => `"seq" < ${seq}`, older.seq);
  }
  const order = bySeq('DESC');
  const rows = await readPage<CheckpointRow>(
    app.sql.query,
    { from: '"Checkpoint"', columns: '*', where, filters, params, order },
    page,
  );
  const states = statesOf(
    app,
    rows.edges.map(({ node }) => node),
  );
  return {
    ...rows,
    edges: rows.edges.map(({ cursor }, i) => ({ cursor, node: states[i] as State })),
  };
}
