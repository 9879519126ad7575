import type { RunRequest } from './thread-model.ts';

/** The requests of a thread without an answer of the server. A new page sends them again, with the same keys. */
export interface Outbox {
  add(key: string, request: RunRequest): void;
  remove(key: string): void;
  /** Oldest first. */
  list(): Entry[];
}

/** Where to keep unsent requests, such as localStorage. */
export type TextStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

interface Entry {
  key: string;
  request: RunRequest;
  /** Milliseconds since 1970. */
  at: number;
}

/** A person does not expect that a page sends a message of last week. */
const KEPT_MS = 24 * 60 * 60 * 1000;

/** `storage` may be full or refused by the browser: then a request is only in memory. */
export function createOutbox(storage: TextStorage | undefined, name: string): Outbox {
  function list(): Entry[] {
    const entries = attempt(() => JSON.parse(storage?.getItem(name) ?? '[]') as Entry[]) ?? [];
    return entries.filter(({ at }) => at > Date.now() - KEPT_MS);
  }

  function store(entries: readonly Entry[]): void {
    attempt(() => {
      if (entries.length === 0) storage?.removeItem(name);
      else storage?.setItem(name, JSON.stringify(entries));
    });
  }

  return {
    list,
    add: (key, request) =>
      store([...list().filter((entry) => entry.key !== key), { key, request, at: Date.now() }]),
    remove: (key) => store(list().filter((entry) => entry.key !== key)),
  };
}

/** The storage of the browser. Undefined where there is none. */
export function browserStorage(): TextStorage | undefined {
  return typeof window === 'undefined' ? undefined : attempt(() => window.localStorage);
}

function attempt<Result>(action: () => Result): Result | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
