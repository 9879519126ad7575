/** Calls `make` at the first call and returns the same result for all calls. */
export function once<T>(make: () => Promise<T>): (() => Promise<T>) & { isAsked(): boolean } {
  let made: Promise<T> | undefined;
  return Object.assign(() => (made ??= make()), { isAsked: () => made !== undefined });
}
