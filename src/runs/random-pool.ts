import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4096;
/** An id has 16. */
const MOST_POOLED_BYTES = 64;

/**
 * Makes `crypto.getRandomValues` take small amounts of random bytes from a pool. Node.js needs as long for 16 bytes as for
 * thousands. LangChain and LangSmith create 16 ids in a run of one node: this took a fifth of the time of the graph.
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
    // Used bytes do not stay in memory.
    pool.fill(0, used, end);
    used = end;
    return array;
  };
}
