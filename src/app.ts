import type { KnownAssistants } from './assistants/known.ts';
import type { Config } from './config.ts';
import type { Sql } from './db/open.ts';
import type { EventLog } from './events/log.ts';
import type { EventTail } from './events/tail.ts';
import type { PrismaClient } from './generated/prisma/client.ts';
import type { Graphs } from './graphs/load.ts';
import type { Logger } from './log.ts';
import type { Places } from './runs/places.ts';
import type { ThreadChanges } from './threads/changed.ts';

/** All that the server is made of. Domain functions take the part they need; GraphQL gets the whole as its context. */
export interface App {
  config: Config;
  log: Logger;
  /** The models, one statement at a time. */
  db: PrismaClient;
  /** The hot path, and every transaction. */
  sql: Sql;
  graphs: Graphs;
  /** What runs are started of. */
  assistants: KnownAssistants;
  /** Where runs are executed that need not wait. */
  places: Places;
  /** Where events are appended. */
  events: EventLog;
  /** Where events are followed. */
  tail: EventTail;
  /** Where threads are watched. */
  changes: ThreadChanges;
}
