import { Command as LangGraphCommand } from '@langchain/langgraph';
import type { Query } from '../db/open.ts';
import { readSize } from '../db/page.ts';
import { BadInputError } from '../errors.ts';
import { toCommandFields, type Instruction } from '../graphs/command.ts';
import { isRecord } from '../json.ts';
import { unconsumedAnswers, type AcceptedAnswer, type Answer } from './answers.ts';

/** What a person tells a graph that stands still: answers, an update of the state, where to go. */
export interface Command extends Instruction {
  resume?: readonly Answer[] | null | undefined;
}

/** A command as its run keeps it: each answer has its question. */
export interface StoredCommand extends Instruction {
  resume?: AcceptedAnswer[] | null | undefined;
}

/** The task to which LangGraph books what a command writes. */
const NULL_TASK_ID = '00000000-0000-0000-0000-000000000000';

/** Refuses a command that says nothing, or that the graph cannot follow. `nodes` are unknown where it makes none. */
export function checkCommand(
  argument: string,
  { resume, update, goto }: Command,
  graphId: string,
  nodes: readonly string[] | undefined,
): void {
  if (!resume && update == null && !goto) {
    throw new BadInputError(argument, 'A command says resume, update or goto.');
  }
  if (resume) readSize(`${argument}.resume`, resume.length);
  if (goto) readSize(`${argument}.goto`, goto.length);
  if (update != null && !isRecord(update)) {
    throw new BadInputError(
      `${argument}.update`,
      'update must be an object: what is written, by key.',
    );
  }
  const unknown = goto?.findIndex(({ node }) => nodes && !nodes.includes(node)) ?? -1;
  if (goto && unknown >= 0) {
    throw new BadInputError(
      `${argument}.goto[${unknown}].node`,
      `The graph "${graphId}" has no node "${goto[unknown]?.node}"; it has ${nodes?.join(', ')}.`,
    );
  }
}

/**
 * What an attempt says to its graph: the command without what an earlier attempt has stored already; null where nothing
 * is left to say.
 */
export async function commandOf(
  query: Query,
  run: { id: string; threadId: string; command: unknown },
): Promise<LangGraphCommand | null> {
  const { resume, update, goto } = run.command as StoredCommand;
  // Never an empty map: LangGraph would take the map itself as the answer.
  const answers = resume ? await unconsumedAnswers(query, run.id, resume) : {};
  const [stored] = await query(
    `SELECT 1 FROM "CheckpointWrite" WHERE "threadId" = $1 AND "runId" = $2 AND "taskId" = $3 LIMIT 1`,
    [run.threadId, run.id, NULL_TASK_ID],
  );
  const hasAnswers = Object.keys(answers).length > 0;
  const saysMore = !stored && (update != null || (goto ?? []).length > 0);
  if (!hasAnswers && !saysMore) return null;
  return new LangGraphCommand({
    ...(hasAnswers && { resume: answers }),
    ...(saysMore && toCommandFields({ update, goto })),
  });
}
