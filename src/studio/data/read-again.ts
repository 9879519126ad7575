import { useEffect, useRef } from 'react';

/** Calls `read` when the key has changed: a query of urql then asks the server again. */
export function useReadAgain(
  read: (options: { requestPolicy: 'network-only' }) => void,
  key: unknown,
): void {
  const last = useRef(key);
  useEffect(() => {
    if (last.current === key) return;
    last.current = key;
    read({ requestPolicy: 'network-only' });
  }, [read, key]);
}
