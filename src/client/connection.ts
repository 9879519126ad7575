import { isTemporary, pause, type RefusedError } from './transport.ts';
import type { Connection } from './types.ts';

interface Options {
  signal: AbortSignal;
  /** Follows until the subscription completes. Calls `live` when it is up to date. */
  follow(signal: AbortSignal, live: () => void): Promise<void>;
  /** Forgets the cursor after a refusal. Returns false if there is none to forget. */
  startAgain(): boolean;
  onChange(connection: Connection, error?: Error): void;
}

/** Follows again and again, until the signal aborts or the server refuses for good. */
export async function stayConnected({ signal, follow, startAgain, onChange }: Options) {
  let failures = 0;
  const live = () => {
    failures = 0;
    if (!signal.aborted) onChange('live');
  };
  while (!signal.aborted) {
    // What belongs to this attempt ends with it, such as a read that is repeated.
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    signal.addEventListener('abort', abort);
    try {
      await follow(attempt.signal, live);
    } catch (error) {
      if (signal.aborted) break;
      const isFinal = !isTemporary(error) && !startAgain();
      if (isFinal) return onChange('closed', error as RefusedError);
      onChange('reconnecting');
      await pause(failures++, signal);
    } finally {
      abort();
      signal.removeEventListener('abort', abort);
    }
  }
  return onChange('closed');
}
