/** Collects pieces of any size, in memory of at most twice their sum. */
export interface CollectedBytes {
  readonly size: number;
  add(piece: Buffer): void;
  bytes(): Buffer;
}

export function collectBytes(): CollectedBytes {
  let memory: Buffer = Buffer.alloc(0);
  let size = 0;
  return {
    get size() {
      return size;
    },
    add(piece) {
      const needed = size + piece.length;
      if (size === 0) memory = piece;
      else if (needed > memory.length) {
        const larger = Buffer.allocUnsafe(Math.max(needed, memory.length * 2));
        memory.copy(larger, 0, 0, size);
        memory = larger;
      }
      if (size > 0) piece.copy(memory, size);
      size = needed;
    },
    bytes: () => memory.subarray(0, size),
  };
}
