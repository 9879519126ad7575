const POLL_MS = 1000;

/** Looks again and again, a second after the last look has ended. `look` must not reject. Returns how to stop. */
export function pollEverySecond(look: () => Promise<void>): () => void {
  let stopped = false;
  let timer = schedule();

  function schedule(): NodeJS.Timeout {
    return setTimeout(() => void lookOnce(), POLL_MS).unref();
  }

  async function lookOnce(): Promise<void> {
    await look();
    if (!stopped) timer = schedule();
  }

  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
