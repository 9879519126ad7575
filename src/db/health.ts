import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { outdatesConnection, refusesWrites } from '../errors.ts';
import { takeConnection } from './sharing.ts';

/** The state of the database, from a check statement and from the outcomes of all other statements. */
export interface Health {
  /** A statement was answered. */
  onAnswer(): void;
  /** A statement failed because the database is away. */
  onAway(error: unknown): void;
  /** True if the database can be read and written. Answers within three seconds. */
  isReady(): Promise<boolean>;
}

const CHECK = `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS "readOnly"`;
const READY_WITHIN_MS = 3000;
/** The check may wait for a connection or behind another statement. After this time, a recent answer to any statement is enough. */
const AT_WORK_AFTER_MS = 500;
/** A longer statement of the embedded database counts as no answer. */
const LONGEST_STATEMENT_MS = 60_000;
/** A refused write counts for this time. Waiting attempts repeat their statements more often. */
const REFUSAL_COUNTS_MS = 5000;

/** `busyMs`: the time since the embedded database started its present statement. */
export function createHealth(pool: pg.Pool, busyMs: (() => number) | undefined): Health {
  let answeredAt = -Infinity;
  let refusedAt = -Infinity;
  let latest: { startedAt: number; result: Promise<boolean> } | undefined;

  /** Joins the check in progress, unless it is too old. */
  function joinCheck(): Promise<boolean> {
    const isFresh = latest && performance.now() - latest.startedAt < READY_WITHIN_MS;
    if (latest && isFresh) return latest.result;
    const started = { startedAt: performance.now(), result: check().catch(() => false) };
    latest = started;
    void started.result.then(() => {
      if (latest === started) latest = undefined;
    });
    return started.result;
  }

  async function check(): Promise<boolean> {
    const client = await takeConnection(pool);
    let isReadOnly = true;
    let isOutdated = true;
    try {
      const { rows } = await client.query<{ readOnly: boolean }>(CHECK);
      isReadOnly = rows[0]?.readOnly ?? true;
      // A new connection may lead to another server.
      isOutdated = isReadOnly;
    } catch (error) {
      isOutdated = outdatesConnection(error);
    } finally {
      client.release(isOutdated);
    }
    return !isReadOnly;
  }

  function isAtWork(): boolean {
    if (!busyMs) return performance.now() - answeredAt < READY_WITHIN_MS;
    const ms = busyMs();
    return ms > 0 && ms < LONGEST_STATEMENT_MS;
  }

  return {
    onAnswer() {
      answeredAt = performance.now();
    },
    onAway(error) {
      if (refusesWrites(error)) refusedAt = performance.now();
    },
    async isReady() {
      if (performance.now() - refusedAt < REFUSAL_COUNTS_MS) return false;
      const checked = joinCheck();
      const first = await Promise.race([checked, after(AT_WORK_AFTER_MS)]);
      if (first !== undefined) return first;
      if (isAtWork()) return true;
      return (await Promise.race([checked, after(READY_WITHIN_MS - AT_WORK_AFTER_MS)])) ?? false;
    },
  };
}

const after = (ms: number): Promise<undefined> => sleep(ms, undefined, { ref: false });
