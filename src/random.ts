import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4096;
/** An id takes 16. */
const MOST_POOLED_BYTES = 64;

/**
 * Has `crypto.getRandomValues` hand out a few random bytes from a pool. Node takes as long for 16 bytes as for thousands, and LangChain and
 * LangSmith ask 16 times for an id in a run of one node: that was a fifth of the time of the graph.
 */
export function poolRandomValues(crypto: Crypto): void {
  const draw = crypto.getRandomValues.bind(crypto);
  const pool = Buffer.alloc(POOL_BYTES);
  let used = POOL_BYTES;
  crypto.getRandomValues = (array) => {
    if (!(array instanceof Uint8Array) || array.length > MOST_POOLED_BYTES) return draw(array);
    if (used + array.length > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const end = used + array.length;
    array.set(pool.subarray(used, end));
    // What was handed out is nobody else's to see.
    pool.fill(0, used, end);
    used = end;
    return array;
  };
}
