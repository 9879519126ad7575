import { BadInputError } from '../errors.ts';
import { sql, type Statement } from './sql.ts';

/** A half-open interval of time: from `after` on, and before `before`. */
export interface Interval {
  after?: Date | null | undefined;
  before?: Date | null | undefined;
}

/** Checks that an interval is not empty. Its arguments are named `<argument>After` and `<argument>Before`. */
export function checkInterval(argument: string, { after, before }: Interval): Interval {
  if (after != null && before != null && after >= before) {
    throw new BadInputError(
      `${argument}Before`,
      (name) =>
        `${name(`${argument}Before`)} is ${before.toISOString()}; it must be later than ${name(`${argument}After`)}, ${after.toISOString()}.`,
    );
  }
  return { after, before };
}

/** The conditions for a column within an interval. */
export function within(column: Statement, { after, before }: Interval): Statement[] {
  const conditions: Statement[] = [];
  if (after != null) conditions.push(sql`${column} >= ${after}::timestamptz`);
  if (before != null) conditions.push(sql`${column} < ${before}::timestamptz`);
  return conditions;
}

/** The longest time of a transaction. */
const TRANSACTION_MS = 60_000;

/** A larger interval: a time in a row is the start of its transaction, and may be older than an earlier row of another one. */
export function widened({ after, before }: Interval): Interval {
  return {
    after: after && new Date(after.getTime() - TRANSACTION_MS),
    before: before && new Date(before.getTime() + TRANSACTION_MS),
  };
}
