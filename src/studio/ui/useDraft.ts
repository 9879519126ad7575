import { useEffect, useState } from 'react';

/** The text of a filter while a person types. `commit` gets it after a pause. */
export function useDraft(
  committed: string,
  commit: (text: string) => void,
  pauseMs = 300,
): [string, (text: string) => void] {
  const [draft, setDraft] = useState<string | undefined>(undefined);
  useEffect(() => {
    if (draft === undefined) return undefined;
    const timer = setTimeout(() => {
      commit(draft);
      setDraft(undefined);
    }, pauseMs);
    return () => clearTimeout(timer);
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `commit` is new with each render
  }, [draft, pauseMs]);
  return [draft ?? committed, setDraft];
}
