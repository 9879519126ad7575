import { useEffect, useRef } from 'react';
import { createValue } from '../data/store.ts';

const STORED = 'threadql.shortcuts';

/** Whether single keys are shortcuts. People who dictate switch them off (WCAG 2.1.4). */
export const areShortcutsOn = createValue(localStorage.getItem(STORED) !== 'off');

export function switchShortcuts(isOn: boolean): void {
  localStorage.setItem(STORED, isOn ? 'on' : 'off');
  areShortcutsOn.set(isOn);
}

/** Keys and what they do: `j`, `/`, `Enter`, or two keys after each other, such as `g t`. */
export type Shortcuts = Record<string, (event: KeyboardEvent) => void>;

const SEQUENCE_MS = 1200;

/** Listens for keys while the component is shown, except in fields and dialogs. */
export function useShortcuts(shortcuts: Shortcuts): void {
  const current = useRef(shortcuts);
  useEffect(() => {
    current.current = shortcuts;
  });
  useEffect(() => {
    let before = '';
    let timer: ReturnType<typeof setTimeout>;
    function onKeyDown(event: KeyboardEvent): void {
      if (!areShortcutsOn.get() || isTyping(event)) return;
      const keys = before ? `${before} ${event.key}` : event.key;
      const action = current.current[keys] ?? current.current[event.key];
      clearTimeout(timer);
      before = '';
      if (action) {
        event.preventDefault();
        action(event);
      } else if (Object.keys(current.current).some((each) => each.startsWith(`${event.key} `))) {
        before = event.key;
        timer = setTimeout(() => (before = ''), SEQUENCE_MS);
      }
    }
    addEventListener('keydown', onKeyDown);
    return () => {
      clearTimeout(timer);
      removeEventListener('keydown', onKeyDown);
    };
  }, []);
}

function isTyping({ target, ctrlKey, metaKey, altKey, key }: KeyboardEvent): boolean {
  if (ctrlKey || metaKey || altKey) return true;
  const element = target instanceof Element ? target : undefined;
  if (element?.closest('input, textarea, select, [contenteditable], dialog, [role=menu]'))
    return true;
  // A key that a button or a link takes itself.
  return key === 'Enter' && !!element?.closest('button, a, summary');
}
