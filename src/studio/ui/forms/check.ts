import { readDraft, type Draft } from './draft.ts';
import { problemsOf, type Problem } from './problems.ts';
import type { JsonSchema } from './shape.ts';

/** What is wrong with a draft. Empty: it can be sent. */
export function draftProblems(schema: JsonSchema | null, draft: Draft): Problem[] {
  const { value, error } = readDraft(draft);
  if (error !== undefined) return [{ path: '', field: '', message: error }];
  if (schema) return problemsOf(schema, value);
  return value === undefined ? [{ path: '', field: '', message: 'There is no answer yet.' }] : [];
}
