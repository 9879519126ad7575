import { webcrypto } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { poolRandomValues } from '../src/runs/random-pool.ts';

describe('random values from a pool', () => {
  /** The Crypto object of the test. The process object is pooled once. */
  function pooled(): { crypto: Crypto; drawn: ArrayBufferView[] } {
    const drawn: ArrayBufferView[] = [];
    const crypto = {
      getRandomValues<T extends ArrayBufferView>(array: T): T {
        drawn.push(array);
        return webcrypto.getRandomValues(array as never) as T;
      },
    } as Crypto;
    poolRandomValues(crypto);
    return { crypto, drawn };
  }

  it('are other ones each time, also when the pool has been used up', () => {
    const { crypto, drawn } = pooled();
    const bytes = new Uint8Array(16);
    const seen = new Set<string>();
    for (let i = 0; i < 5000; i++) {
      expect(crypto.getRandomValues(bytes)).toBe(bytes);
      seen.add(Buffer.from(bytes).toString('hex'));
    }
    expect(seen.size).toBe(5000);
    expect(drawn).toEqual([]);
  });

  it('fill arrays of any size', () => {
    const { crypto } = pooled();
    for (const size of [0, 1, 15, 16, 63, 64]) {
      const arrays = Array.from({ length: 300 }, () =>
        crypto.getRandomValues(new Uint8Array(size)),
      );
      expect(arrays.every(({ length }) => length === size)).toBe(true);
      // Each byte has each bit at some time.
      for (let at = 0; at < size; at++) {
        expect(arrays.reduce((all, array) => all | Number(array[at]), 0)).toBe(255);
      }
    }
  });

  it.each([new Uint8Array(65), new Uint16Array(4), new Uint32Array(1)])(
    'come from Node itself for what is large or made of larger numbers',
    (array) => {
      const { crypto, drawn } = pooled();
      expect(crypto.getRandomValues(array)).toBe(array);
      expect(drawn).toEqual([array]);
    },
  );
});
