const LONGEST_NAME = 255;

/** What `isName` asks for, in the words of an error. */
export const A_NAME = `a text of 1 to ${LONGEST_NAME} characters without control characters`;

/** Whether a value may be the name of a tenant or an owner. PostgreSQL stores no null character. */
export function isName(value: unknown): value is string {
  if (typeof value !== 'string' || /[\p{Control}\p{Surrogate}]/u.test(value)) return false;
  return value !== '' && Array.from(value).length <= LONGEST_NAME;
}
