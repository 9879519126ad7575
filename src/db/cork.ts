import type { Writable } from 'node:stream';

/** Collects all writes of this turn of the event loop into one packet. */
export function corkThisTurn(connection: Writable): void {
  if (connection.writableCorked > 0) return;
  connection.cork();
  setImmediate(() => connection.uncork());
}
