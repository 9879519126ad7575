import type { App } from '../app.ts';
import type { EndedRun } from '../events/event.ts';
import type { Run } from '../generated/prisma/client.ts';
import { findRun } from './search.ts';
import { isFinal } from './status.ts';

/** The run as it is when it has ended, after WAIT_SECONDS, or when whoever waits has left: whichever comes first. */
export async function waitForRun(
  { sql, tail, config }: Pick<App, 'sql' | 'tail' | 'config'>,
  run: Run,
  left?: AbortSignal,
): Promise<EndedRun> {
  if (run.threadId !== null && !isFinal(run.status) && !left?.aborted) {
    const end = tail.follow(
      { runId: run.id, threadId: run.threadId },
      { after: 'now', types: ['FINISHED'] },
    );
    const stop = (): void => void end.return?.();
    const timer = setTimeout(stop, config.waitSeconds * 1000);
    left?.addEventListener('abort', stop);
    try {
      const { value: event } = await end.next();
      if (event?.run) return event.run;
    } finally {
      clearTimeout(timer);
      left?.removeEventListener('abort', stop);
      await end.return?.();
    }
  }
  // It may have been deleted as soon as it had ended.
  return (await findRun({ sql }, run.id)) ?? run;
}
