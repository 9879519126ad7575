import { useEffect, useState } from 'react';

/** A text that a person types. It stays in the tab after a reload, a closed dialog, or a new sign-in. */
export function useKeptText(name: string, initial = ''): [string, (text: string) => void] {
  const key = `threadql.draft ${name}`;
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? initial);
  useEffect(() => {
    if (text === initial) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, text);
  }, [key, text, initial]);
  return [text, setText];
}
