// The channels of Sql.notify. A receiver always reads the database: a notification may be late, lost or repeated.

/** Ids of runs for workers to claim at once: the runs may be due. */
export const RUNS_CHANNEL = 'threadql_runs';
/** Ids of threads with a new status, metadata or state. */
export const THREADS_CHANNEL = 'threadql_threads';
/** Ids of threads with new events. */
export const EVENTS_CHANNEL = 'threadql_events';
/** Ids of runs without their claim: their attempts stop at once. */
export const STOPS_CHANNEL = 'threadql_stops';
/** Ids of revoked API keys. */
export const KEYS_CHANNEL = 'threadql_keys';
