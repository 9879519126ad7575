import type { Sql } from '../../src/db/query.ts';
import { sql } from '../../src/db/sql.ts';
import { until, type TestApp } from './app.ts';
import type { Client } from './client.ts';

/** Makes delayed runs due. */
export async function makeDue({ query }: Sql, runIds: string[]): Promise<void> {
  await query(sql`UPDATE "Run" SET "dueAt" = now() WHERE "id" = ANY(${runIds}::uuid[])`);
}

/** Ends the lease of a running attempt, and waits until the worker has begun the next attempt. */
export async function loseAttempt(server: TestApp, client: Client, runId: string): Promise<void> {
  const { attempt } = await client.getRun(runId);
  await until(async () => {
    // The renewer may have renewed the lease since the last round.
    await server.app.sql.query(
      sql`UPDATE "Run" SET "leaseExpiresAt" = now() - interval '1 second' WHERE "id" = ${runId} AND "attempt" = ${attempt}`,
    );
    await server.tick();
    return (await client.getRun(runId)).attempt > attempt;
  });
}
