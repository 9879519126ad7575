import pLimit from 'p-limit';

/** Limits the operations of this process with large reads, because of memory, time and connections. */
export interface LargeReads {
  /** Waits for permission; the returned function gives it back. Rejects with the reason of the signal if it is aborted. */
  take(signal: AbortSignal): Promise<() => void>;
}

/** The most operations with large reads at a time. The pool has more connections, so the rest of the operations can go ahead. */
const MOST = 3;

export function createLargeReads(): LargeReads {
  const inTurn = pLimit(MOST);
  return {
    take: (signal) =>
      new Promise((resolve, reject) => {
        const give = (): void => reject(signal.reason as Error);
        signal.addEventListener('abort', give);
        void inTurn(async () => {
          signal.removeEventListener('abort', give);
          if (signal.aborted) return give();
          await new Promise<void>((free) => resolve(free));
        });
      }),
  };
}
