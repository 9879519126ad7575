import type { Cursors } from './cursors.ts';
import type { Statement } from './sql.ts';

/** Runs one statement. Each connection prepares its text once. int8 comes as number. */
export type Query = <Row extends object = Record<string, unknown>>(
  statement: Statement,
  options?: QueryOptions,
) => Promise<Row[]>;

export interface QueryOptions {
  /** Plans the statement for these values, if the best plan depends on them. Default: a prepared statement. */
  planAnew?: boolean;
  /** The statement may take long and gets a connection of its own. Default: statements share a connection. */
  takesLong?: boolean;
  /** The statement changes nothing, so it may be repeated if its outcome is unknown. Default: it may have changed rows. */
  onlyReads?: boolean;
  /** Called with the length of each JSON text before it is parsed. If it throws, the statement fails. */
  onJson?: (length: number) => void;
}

/** SQL, notifications and cursors. */
export interface Sql {
  /**
   * Statements on a shared connection are answered in order.
   * Throws DatabaseAwayError if the database cannot be reached.
   */
  query: Query;
  /** Runs `work` on one connection between BEGIN and COMMIT; ROLLBACK if it throws. `work` uses only its own `query`. */
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T>;
  /** Notifies all processes, including this one. Called after the commit. A notification may get lost. */
  notify(channel: string, payload: string): void;
  /** Notifies only the other processes: this one has already received the details. */
  notifyOthers(channel: string, payload: string): void;
  /** Calls `onPayload` for each notification until the returned function is called. */
  listen(channel: string, onPayload: (payload: string) => void): () => void;
  /** For positions in lists. */
  cursors: Cursors;
}
