import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until the file exists or the run is stopped. The files come from `createGate()` in test/support/gates.ts. */
export async function whenThere(file: string, signal: AbortSignal | undefined): Promise<void> {
  while (!(await exists(file))) await sleep(10, undefined, { signal });
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
