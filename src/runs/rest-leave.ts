import type { ClientApp } from '../app.ts';
import { withoutHandlers } from '../auth/viewer.ts';
import { AppError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { cancelRun } from './cancel.ts';

/** Cancels the run of a client that left. A run that has ended meanwhile stays as it is. A server that stops cancels nothing: the client connects again. */
export async function cancelAbandoned(app: ClientApp, { id }: Run): Promise<void> {
  if (app.isStopping()) return;
  await cancelRun(app, withoutHandlers(app.viewer), id, { action: 'KEEP' }).catch(
    (error: unknown) => {
      if (error instanceof AppError) return;
      app.log.warn(
        { err: error, runId: id },
        'the run of a client that left could not be cancelled',
      );
    },
  );
}
