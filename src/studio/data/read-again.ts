import { useEffect, useRef } from 'react';

export const FROM_SERVER = { requestPolicy: 'network-only' } as const;

/** Calls `read` when the key has changed: a query of urql then asks the server again. */
export function useReadAgain(read: (options: typeof FROM_SERVER) => void, key: unknown): void {
  const last = useRef(key);
  useEffect(() => {
    if (last.current === key) return;
    last.current = key;
    read(FROM_SERVER);
  }, [read, key]);
}
