import type { RunAssistants } from './assistants/run-assistant.ts';
import type { Authenticator } from './auth/authenticate.ts';
import type { RateLimit } from './auth/rate-limit.ts';
import type { Viewer } from './auth/viewer.ts';
import type { MadeGraphs } from './checkpoints/graphs.ts';
import type { Config } from './config.ts';
import type { LargeReads } from './db/large-reads.ts';
import type { Operation } from './db/operation.ts';
import type { Sql } from './db/query.ts';
import type { EventBatches } from './events/batches.ts';
import type { EventTail } from './events/tail.ts';
import type { PrismaClient } from './generated/prisma/client.ts';
import type { Graphs } from './graphs/load.ts';
import type { Logger } from './log.ts';
import type { MessageTexts } from './runs/message-texts.ts';
import type { Waits } from './runs/wait.ts';
import type { ThreadChanges } from './threads/changed.ts';

/** The parts of the server. A domain function takes the parts it needs; a front takes all of them. */
export interface App {
  config: Config;
  log: Logger;
  /** Finds the viewer of a request. */
  auth: Authenticator;
  /** Limits the requests of each viewer, over all fronts. */
  rateLimit: RateLimit;
  /** Prisma models, for single statements. */
  db: PrismaClient;
  /** Statements of the hot path, and all transactions. */
  sql: Sql;
  /** Whether the database can be read and written. */
  isReady: () => Promise<boolean>;
  /** Whether the server is closing its connections: clients then connect again, to this server or another. */
  isStopping: () => boolean;
  graphs: Graphs;
  /** The results of graph functions in one request. */
  made?: MadeGraphs;
  /** The current operation: `sql` reads within its limits. */
  operation?: Operation;
  /** `sql` without the limits of an operation, for mutations. */
  unlimitedSql?: Sql;
  /** The assistants of recent runs. */
  assistants: RunAssistants;
  /** Appends events. */
  events: EventBatches;
  /** Follows events. */
  tail: EventTail;
  /** Joins the chunks of streamed messages. */
  texts: MessageTexts;
  /** Reports changes of threads. */
  changes: ThreadChanges;
  /** Slots of requests with `wait: true`. */
  waits: Waits;
  /** Slots of operations with large reads. */
  largeReads: LargeReads;
}

/** The parts of the server for a request, such as the context of GraphQL. */
export interface ClientApp extends App {
  viewer: Viewer;
}
