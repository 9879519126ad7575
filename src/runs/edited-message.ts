import { findCheckpoint } from '../checkpoints/find.ts';
import { findEntries, LONGEST_WALK } from '../checkpoints/message-entries.ts';
import type { Query } from '../db/query.ts';
import { param, sql } from '../db/sql.ts';
import { BadInputError } from '../errors.ts';

/** A message of the current state to replace. */
interface EditedMessage {
  threadId: string;
  messageId: string;
  /** Whether the run has an input. Without one, it makes the message again. */
  hasInput: boolean;
  /** The name of the id in error messages. */
  argument: string;
}

/**
 * The start of a run that replaces a message of the current state. The caller has locked the thread. Throws BadInputError if the
 * state has no such message, or no checkpoint before it.
 */
export async function startOfEdit(
  query: Query,
  { threadId, messageId, hasInput, argument }: EditedMessage,
): Promise<string> {
  const head = await findCheckpoint(query, threadId, {});
  const entries = head && (await findEntries(query, head, [messageId]));
  const entry = entries?.get(messageId);
  const id = JSON.stringify(messageId);
  if (!entry) {
    throw new BadInputError(
      argument,
      `The current branch of thread ${threadId} has no message with the messageId ${id} in its newest checkpoint, or the message is more than ${LONGEST_WALK.toLocaleString('en')} checkpoints old, larger than a megabyte, or not in a list of the channel "messages".`,
    );
  }
  const start = hasInput ? entry.before : entry.again;
  if (start === null) {
    throw new BadInputError(
      argument,
      `The message ${id} came with the first checkpoint of thread ${threadId}: no checkpoint is before it.`,
    );
  }
  return start;
}

/**
 * The checkpoint, or its nearest ancestor, without the checkpoints of these runs. Null if there is none: without the runs, the
 * thread has no state.
 */
export async function withoutRuns(
  query: Query,
  { threadId, checkpointId }: { threadId: string; checkpointId: string },
  runIds: readonly string[],
): Promise<string | null> {
  if (runIds.length === 0) return checkpointId;
  const thread = param(threadId);
  const runs = param(runIds);
  const [row] = await query<{ checkpointId: string }>(sql`WITH RECURSIVE line AS (
      SELECT "checkpointId", "parentId", "runId" FROM "Checkpoint"
      WHERE "threadId" = ${thread}::uuid AND "namespace" = '' AND "checkpointId" = ${checkpointId}
      UNION ALL
      SELECT c."checkpointId", c."parentId", c."runId" FROM line JOIN "Checkpoint" c
        ON c."threadId" = ${thread}::uuid AND c."namespace" = '' AND c."checkpointId" = line."parentId"
      WHERE line."runId" = ANY(${runs}::uuid[])
    )
    SELECT "checkpointId" FROM line WHERE "runId" IS NULL OR "runId" <> ALL(${runs}::uuid[])`);
  return row?.checkpointId ?? null;
}
