import { useState } from 'react';
import type { Draft } from '../../../ui/forms/draft.ts';

const nameOf = (id: string) => `threadql.answer ${id}`;

/** The answers that a person has begun, by the ids of their questions. They stay after a reload of the page. */
export interface Drafts {
  get(id: string): Draft | undefined;
  set(id: string, draft: Draft): void;
  remove(id: string): void;
}

export function useDrafts(): Drafts {
  const [changed, setChanged] = useState<Record<string, Draft | undefined>>({});
  return {
    get: (id) => (id in changed ? changed[id] : storedDraft(id)),
    set(id, draft) {
      sessionStorage.setItem(nameOf(id), JSON.stringify(draft));
      setChanged((before) => ({ ...before, [id]: draft }));
    },
    remove(id) {
      sessionStorage.removeItem(nameOf(id));
      setChanged((before) => ({ ...before, [id]: undefined }));
    },
  };
}

function storedDraft(id: string): Draft | undefined {
  const text = sessionStorage.getItem(nameOf(id));
  return text ? (JSON.parse(text) as Draft) : undefined;
}
