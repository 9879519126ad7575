/**
 * Makes a generator that waits leave at once: `return()` aborts the signal that the generator waits with. Without it,
 * `return()` queues behind the pending wait, and a client that left leaves its reader behind.
 */
export function interruptible<T>(
  run: (left: AbortSignal) => AsyncGenerator<T, void>,
): AsyncIterableIterator<T, void> {
  const leaving = new AbortController();
  const source = run(leaving.signal);
  return {
    next: () => source.next(),
    return() {
      leaving.abort('left'); // a reason: making an error costs more than all the rest
      return source.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Something that a reader waits with: whoever has news calls `wake`. */
export interface Sleeper {
  wake: () => void;
}

/** Resolves when it is woken, or the reader leaves; at once where there is something already. */
export function sleepUntilWoken(
  sleeper: Sleeper,
  left: AbortSignal,
  hasNews: () => boolean,
): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      left.removeEventListener('abort', wake);
      sleeper.wake = () => {};
      resolve();
    };
    sleeper.wake = wake;
    left.addEventListener('abort', wake);
    if (left.aborted || hasNews()) wake();
  });
}
