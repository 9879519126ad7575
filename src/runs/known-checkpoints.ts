/** The checkpoints for events of the attempt: the attempt has put them, or has read them from the database. */
export interface KnownCheckpoints {
  add(checkpointId: string): void;
  /** Resolves when the checkpoint is added, or at the abort. True if the checkpoint was added. */
  until(checkpointId: string): Promise<boolean>;
}

export function createKnownCheckpoints(signal: AbortSignal): KnownCheckpoints {
  const known = new Set<string>();
  /** By checkpoint id: ends its wait. */
  const waiting = new Map<string, () => void>();

  return {
    add(checkpointId) {
      known.add(checkpointId);
      waiting.get(checkpointId)?.();
    },
    async until(checkpointId) {
      if (!known.has(checkpointId) && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const done = (): void => {
            signal.removeEventListener('abort', done);
            waiting.delete(checkpointId);
            resolve();
          };
          waiting.set(checkpointId, done);
          signal.addEventListener('abort', done);
        });
      }
      return known.has(checkpointId);
    },
  };
}
