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
      // The reason replaces the default error, whose stack costs more than all the rest.
      returning.abort('returned');
      return source.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Ends a wait for news: the producer of news calls `wake`. */
export interface Sleeper {
  wake: () => void;
}

/** Resolves on `wake()` or when the signal aborts; at once if there are news already. */
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
