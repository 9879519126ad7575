import type { Reading } from '../checkpoints/graphs.ts';
import { findValues, valuesOfFinal } from '../checkpoints/states.ts';
import type { EndedRun } from './end.ts';
import { isFinal } from './status.ts';

/** The final values of a run; null before its end, and without a state. */
export async function outputOf(app: Reading, run: EndedRun): Promise<unknown> {
  const { status, output, threadId, headId, finalCheckpoint } = run;
  if (!isFinal(status) || output !== null) return output;
  if (finalCheckpoint?.isUnchanged()) return valuesOfFinal(app, finalCheckpoint);
  if (threadId === null || headId === null) return null;
  return findValues(app, threadId, { checkpointId: headId });
}
