import { parseJson, showJson, type Parsed } from '../json/parse.ts';
import type { JsonSchema } from './shape.ts';
import { canShow } from './size.ts';
import { initialValue } from './values.ts';

/** How a person enters a value. `text`: the text itself is the value. */
export type Mode = 'form' | 'json' | 'text';

/** A value while a person enters it. */
export interface Draft {
  mode: Mode;
  /** The value of the form. */
  value: unknown;
  /** The text of the editor. */
  text: string;
}

/** An empty draft for a schema, or one with a value. */
export function newDraft(schema: JsonSchema | null, value?: unknown): Draft {
  const mode = schema && canShow(schema) ? 'form' : 'json';
  const first = value ?? (schema ? initialValue(schema, schema) : undefined);
  return {
    mode,
    value: first,
    text: mode === 'form' || first === undefined ? '' : showJson(first),
  };
}

/** The value of a draft, or why its text is none. */
export function readDraft({ mode, value, text }: Draft): Parsed {
  if (mode === 'form') return { value };
  return mode === 'text' ? { value: text } : parseJson(text);
}

/** Changes the way of entering, and takes the entry along. A text that is not JSON stays: the form would lose it. */
export function switchMode(draft: Draft, mode: Mode): Draft {
  if (mode === 'form') {
    const { value, error } = parseJson(draft.text, draft.value);
    return error === undefined ? { ...draft, mode, value } : draft;
  }
  const text = draft.mode === 'form' ? showJson(draft.value) : draft.text;
  return { ...draft, mode, text };
}
