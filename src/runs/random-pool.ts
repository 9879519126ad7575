import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4096;
/** An id has 16. */
const MOST_POOLED_BYTES = 64;

/**
 * Makes `crypto.getRandomValues` take small amounts of random bytes from a pool. Node.js needs as long for 16 bytes as for
 * thousands, and LangChain and LangSmith draw an id for each step of a run. Gain, in alternating runs with the server without
 * it: a waited run of ten steps 5 %, 16 runs at once 5 %; together with the cache of assistants 12 to 14 %.
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
