import type { ClientApp } from '../app.ts';
import { limitedSql, reasonOf } from '../db/operation-limits.ts';
import { startOperation } from '../db/operation.ts';
import { AppError } from '../errors.ts';

interface OperationOptions {
  /** Aborted when the client leaves: the work then starts nothing more. */
  left?: AbortSignal | undefined;
  /** The work changes something: it runs to its end, and its statements have no limits. */
  changes?: boolean | undefined;
}

/** Runs the work within the limits of an operation, as GraphQL does. Throws the error of an exceeded limit. */
export async function withinOperation<T>(
  app: ClientApp,
  { left, changes = false }: OperationOptions,
  work: (app: ClientApp) => Promise<T>,
): Promise<T> {
  const unlimitedSql = app.unlimitedSql ?? app.sql;
  const operation = startOperation(app.config, {
    fields: EVERY_FIELD,
    left: changes ? undefined : left,
    largeReads: app.largeReads,
  });
  const sql = changes ? unlimitedSql : limitedSql(unlimitedSql, operation);
  try {
    const own = { ...app, made: new Map(), operation, sql, unlimitedSql };
    // A change runs to its end: its client must learn what was created.
    const result = await (changes ? work(own) : Promise.race([work(own), operation.exceeded]));
    if (result instanceof AppError) throw await reasonOf(app, result);
    return result;
  } finally {
    operation.close();
  }
}

/** The large columns that an answer of this interface has. */
const EVERY_FIELD: ReadonlySet<string> = new Set(['input', 'command', 'config', 'context']);

/** The app for work after the answer has begun: without the operation of the request. */
export function afterOperation(app: ClientApp): ClientApp {
  return { ...app, sql: app.unlimitedSql ?? app.sql, operation: undefined };
}
