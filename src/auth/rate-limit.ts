import { AppError, LimitError } from '../errors.ts';
import { remember } from '../remember.ts';
import type { Viewer } from './viewer.ts';

/** A token bucket for each viewer. A full bucket has the units of a minute. */
export interface RateLimit {
  /** Takes units from the viewer's bucket. Throws RATE_LIMITED if it has fewer, and takes none. */
  charge(viewer: Pick<Viewer, 'tenant' | 'identity'>, units: number, nowMs: number): void;
}

const MINUTE_MS = 60_000;
/** The least recently charged bucket is dropped first. A bucket without charges in the last minute is full anyway. */
const MOST_BUCKETS = 100_000;

/** `unitsPerMinute` 0: no limit. */
export function createRateLimit(unitsPerMinute: number): RateLimit {
  /** For each viewer, the time at which its bucket is full. */
  const fullAt = new Map<string, number>();
  const msPerUnit = MINUTE_MS / unitsPerMinute;
  return {
    charge({ tenant, identity }, units, nowMs) {
      if (unitsPerMinute === 0) return;
      if (units > unitsPerMinute) {
        const message = `The operation costs ${units} units; at most ${unitsPerMinute} per minute are allowed.`;
        throw new LimitError(message, 'RATE_LIMIT');
      }
      const key = JSON.stringify([tenant, identity]);
      const full = Math.max(fullAt.get(key) ?? nowMs, nowMs) + units * msPerUnit;
      const waitMs = full - nowMs - MINUTE_MS;
      if (waitMs > 0) throw new RateLimitedError(unitsPerMinute, waitMs);
      fullAt.delete(key);
      remember(fullAt, key, full, MOST_BUCKETS);
    },
  };
}

class RateLimitedError extends AppError {
  constructor(unitsPerMinute: number, waitMs: number) {
    const retryAfterSeconds = Math.ceil(waitMs / 1000);
    super(
      'RATE_LIMITED',
      `Rate limit of ${unitsPerMinute} units per minute exceeded; try again in ${retryAfterSeconds} s. RATE_LIMIT sets the limit.`,
      { retryAfterSeconds },
    );
  }
}
