import type { Writable } from 'node:stream';

/** What is written to it from now until the end of this turn of the event loop leaves it at once. */
export function corkThisTurn(connection: Writable): void {
  if (connection.writableCorked > 0) return;
  connection.cork();
  setImmediate(() => connection.uncork());
}
