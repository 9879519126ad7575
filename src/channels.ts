// What the server's processes tell each other through Sql.notify: hints, never facts.

/** Ids of runs that may be due: workers look at once. Within a process, also nothing: one is being stored. */
export const RUNS_CHANNEL = 'threadql_runs';
/** Ids of threads whose status, metadata or state has changed. */
export const THREADS_CHANNEL = 'threadql_threads';
/** Ids of threads that have new events. */
export const EVENTS_CHANNEL = 'threadql_events';
/** Ids of runs that have lost their claim: their attempts stop at once. */
export const STOPS_CHANNEL = 'threadql_stops';
