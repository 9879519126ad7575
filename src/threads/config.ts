import { USER_PREFIX } from '../auth/graph-user.ts';
import type { Operation } from '../db/operation.ts';
import type { Sql } from '../db/query.ts';
import { recordOf } from '../json.ts';
import { findLastRun } from '../runs/last.ts';

/** Beginnings of keys of LangGraph and of access control. */
const HIDDEN = ['__', USER_PREFIX];

/** The configuration of the thread's last run; empty before it. A list of threads reads them with one statement. */
export async function lastConfig(
  app: { sql: Sql; operation?: Operation | undefined },
  threadId: string,
): Promise<Record<string, unknown>> {
  const run = await findLastRun(app, threadId);
  const { configurable, ...config } = recordOf(run?.config);
  if (configurable === undefined) return config;
  const shown = Object.entries(recordOf(configurable)).filter(
    ([key]) => !HIDDEN.some((prefix) => key.startsWith(prefix)),
  );
  return { ...config, configurable: Object.fromEntries(shown) };
}
