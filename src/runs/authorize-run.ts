import { authorize, readChoice } from '../auth/authorize.ts';
import type { Viewer } from '../auth/viewer.ts';
import { MultitaskStrategy } from '../generated/prisma/enums.ts';
import { isRecord, recordOf } from '../json.ts';
import type { AuthorizedRun, NewRun } from './request.ts';

/** The fields of a request in LangGraph's `kwargs`. */
const KWARGS = ['input', 'command', 'config', 'context'] as const;

const STRATEGIES = Object.values(MultitaskStrategy);
const IF_MISSING = ['REJECT', 'CREATE'] as const;

/** Asks for the permission of a run. Handlers may change all of the value but its `status`. */
export async function authorizeRun(asking: Viewer, asked: NewRun): Promise<AuthorizedRun> {
  if (!asking.ask) return { viewer: asking, request: asked, asked };
  const kwargs = Object.fromEntries(KWARGS.map((key) => [key, asked[key] ?? null]));
  const { viewer, value } = await authorize(asking, 'threads:create_run', {
    thread_id: asked.threadId,
    assistant_id: asked.assistantId,
    metadata: asked.metadata ?? {},
    kwargs,
    status: 'pending',
    multitask_strategy: asked.multitaskStrategy.toLowerCase(),
    if_not_exists: asked.ifThreadMissing.toLowerCase(),
    after_seconds: asked.afterSeconds,
  });
  const changed = Object.fromEntries(
    Object.entries(recordOf(value.kwargs)).filter(([key]) => key in kwargs),
  );
  for (const key of ['command', 'config', 'context'] as const) {
    if (changed[key] == null || isRecord(changed[key])) continue;
    throw new Error(`The handler of threads:create_run gave value.kwargs.${key} a wrong type.`);
  }
  const request = {
    ...asked,
    ...changed,
    threadId: value.thread_id,
    assistantId: value.assistant_id,
    metadata: value.metadata,
    multitaskStrategy: readChoice('multitask_strategy', value.multitask_strategy, STRATEGIES),
    ifThreadMissing: readChoice('if_not_exists', value.if_not_exists, IF_MISSING),
    afterSeconds: value.after_seconds,
  };
  return { viewer, request, asked };
}
