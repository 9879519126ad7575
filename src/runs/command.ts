import { END, Command as LangGraphCommand } from '@langchain/langgraph';
import { NULL_TASK_ID } from '../checkpoints/new-records.ts';
import { checkLength } from '../db/page.ts';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { BadInputError } from '../errors.ts';
import { classesOf } from '../graphs/classes.ts';
import { toCommandFields, type Instruction } from '../graphs/command.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import { unconsumedAnswers, type AcceptedAnswer, type Answer } from '../interrupts/answers.ts';
import { isRecord } from '../json.ts';

/** A client's command to a graph: answers to interrupts, an update of the state, the next nodes. */
export interface Command extends Instruction {
  resume?: readonly Answer[] | null | undefined;
}

/** A stored command: each answer names its interrupt. */
export interface StoredCommand extends Instruction {
  resume?: AcceptedAnswer[] | null | undefined;
}

/** Refuses empty commands and unknown nodes. `nodes` is undefined if the graph is not available for the check. */
export function checkCommand(
  argument: string,
  { resume, update, goto }: Command,
  { graphId, nodes }: { graphId: string; nodes: readonly string[] | undefined },
): void {
  if (!resume && update == null && !goto) {
    throw new BadInputError(argument, 'A command needs at least one of resume, update and goto.');
  }
  if (resume) checkLength(`${argument}.resume`, resume);
  if (goto) checkLength(`${argument}.goto`, goto);
  if (update != null && !isRecord(update)) {
    throw new BadInputError(
      `${argument}.update`,
      'update must be an object with a value for each written key.',
    );
  }
  const known = nodes && [...nodes, END];
  const unknown = goto?.findIndex(({ node }) => known && !known.includes(node)) ?? -1;
  if (goto && unknown >= 0) {
    throw new BadInputError(
      `${argument}.goto[${unknown}].node`,
      `The graph "${graphId}" has no node "${goto[unknown]?.node}"; it has ${known?.join(', ')}.`,
    );
  }
}

/** The command for LangGraph, without the parts stored by an earlier attempt. Null: nothing remains. */
export async function commandOf(
  query: Query,
  run: { id: string; threadId: string; graphId: string; command: unknown },
  graph: CompiledGraph,
): Promise<LangGraphCommand | null> {
  const { resume, update, goto } = run.command as StoredCommand;
  // LangGraph would use an empty map as the answer, so the command then has no `resume`.
  const answers = resume ? await unconsumedAnswers(query, run, { answers: resume, graph }) : {};
  const [stored] = await query(
    sql`SELECT 1 FROM "CheckpointWrite"
     WHERE "threadId" = ${run.threadId} AND "runId" = ${run.id} AND "taskId" = ${NULL_TASK_ID} LIMIT 1`,
    { onlyReads: true },
  );
  const hasAnswers = Object.keys(answers).length > 0;
  const hasInstruction = !stored && (update != null || (goto ?? []).length > 0);
  if (!hasAnswers && !hasInstruction) return null;
  return new LangGraphCommand({
    ...(hasAnswers && { resume: answers }),
    ...(hasInstruction &&
      toCommandFields({ update: ofChannels(update, graph), goto }, classesOf(graph))),
  });
}

/** LangGraph ignores writes to this reserved channel. */
const NO_CHANNEL = '__no_writes__';

/**
 * The update with a reserved key in place of unknown channels. LangGraph ignores unknown channels too, but fails on names of
 * Object.prototype such as "constructor".
 */
function ofChannels(update: unknown, { channels }: CompiledGraph): unknown {
  if (!isRecord(update)) return update;
  return Object.fromEntries(
    Object.entries(update).map(([key, value]) =>
      Object.hasOwn(channels, key) ? [key, value] : [NO_CHANNEL, null],
    ),
  );
}
