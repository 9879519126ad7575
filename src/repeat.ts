import { setTimeout as sleep } from 'node:timers/promises';

/** Work that is done again and again. */
export interface Repeated {
  /** Ends it after what is under way. */
  stop(): Promise<void>;
}

/** Does the work at once, and then again after each pause. It keeps no process alive. */
export function repeat(
  pauseMs: number,
  work: (stopping: AbortSignal) => Promise<void>,
  onError: (error: unknown) => void,
): Repeated {
  const stopping = new AbortController();
  const { signal } = stopping;
  const stopped = (async () => {
    while (!signal.aborted) {
      await work(signal).catch(onError);
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {});
    }
  })();
  return {
    stop() {
      stopping.abort();
      return stopped;
    },
  };
}
