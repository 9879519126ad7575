import { createValue } from '../data/store.ts';

export type Theme = 'system' | 'light' | 'dark';

const STORED = 'threadql.theme';

export const theme = createValue<Theme>((localStorage.getItem(STORED) as Theme | null) ?? 'system');

/** Shows a theme. It is kept in the browser. */
export function chooseTheme(next: Theme): void {
  if (next === 'system') localStorage.removeItem(STORED);
  else localStorage.setItem(STORED, next);
  theme.set(next);
  applyTheme();
}

/** Sets the theme of the page, which tokens.css reads. */
export function applyTheme(): void {
  const chosen = theme.get();
  if (chosen === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = chosen;
}
