/**
 * Makes a generator end at once on `return()`, also during a wait: `return()` aborts the signal of that wait. The `return()`
 * of a plain generator queues behind the wait, and the reader of a closed connection would stay.
 */
export function interruptible<T>(
  run: (returned: AbortSignal) => AsyncGenerator<T, void>,
): AsyncIterableIterator<T, void> {
  const returning = new AbortController();
  const source = run(returning.signal);
  return {
    next: () => source.next(),
    return() {
      // A reason of our own: for the default error, Node.js would collect a stack trace.
      returning.abort('returned');
      return source.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** A waiting reader. The producer of news calls `wake` to end the wait. */
export interface Sleeper {
  wake: () => void;
}

/** Resolves on `wake()` or when the signal aborts; at once if there is news already. */
export function sleepUntilWoken(
  sleeper: Sleeper,
  returned: AbortSignal,
  hasNews: () => boolean,
): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      returned.removeEventListener('abort', wake);
      sleeper.wake = () => {};
      resolve();
    };
    sleeper.wake = wake;
    returned.addEventListener('abort', wake);
    if (returned.aborted || hasNews()) wake();
  });
}
