/** Poll interval: recovers from a lost notification. */
export const POLL_MS = 1000;

/** Periodic work. */
export interface Repeated {
  /** Prevents further work. Resolves after the current work. */
  stop(): Promise<void>;
}

interface RepeatOptions {
  /** From the end of the work to its next start. */
  pauseMs: number;
  /** True: the work also runs before the first pause. Default: false. */
  atOnce?: boolean;
  /** Receives each error. The work continues after the pause. */
  onError: (error: unknown) => void;
}

/** Does the work after each pause. The timer does not keep the process alive. */
export function repeat(
  work: (stopping: AbortSignal) => Promise<void>,
  { pauseMs, atOnce = false, onError }: RepeatOptions,
): Repeated {
  const stopping = new AbortController();
  const { signal } = stopping;
  let timer: NodeJS.Timeout | undefined;
  let underWay = Promise.resolve();

  function pause(): void {
    timer = setTimeout(begin, pauseMs).unref();
  }

  function begin(): void {
    underWay = work(signal)
      .catch(onError)
      .then(() => {
        if (!signal.aborted) pause();
      });
  }

  if (atOnce) begin();
  else pause();
  return {
    stop() {
      stopping.abort();
      clearTimeout(timer);
      return underWay;
    },
  };
}
