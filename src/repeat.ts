/** How often is looked for what a lost hint would have told. */
export const POLL_MS = 1000;

/** Work that is done again and again. */
export interface Repeated {
  /** Ends it after what is under way. */
  stop(): Promise<void>;
}

interface RepeatOptions {
  /** From the end of the work to its next beginning. */
  pauseMs: number;
  /** Whether it is done before the first pause, too. Default: it is not. */
  atOnce?: boolean;
  /** Told of each time it failed; it goes on. */
  onError: (error: unknown) => void;
}

/** Does the work after each pause. It keeps no process alive. */
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
