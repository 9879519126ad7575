import { useSyncExternalStore } from 'react';

/** A value outside of React that components follow. */
export interface Value<Type> {
  get(): Type;
  set(next: Type): void;
  subscribe(listener: () => void): () => void;
}

export function createValue<Type>(initial: Type): Value<Type> {
  const listeners = new Set<() => void>();
  let value = initial;
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

export function useValue<Type>({ get, subscribe }: Value<Type>): Type {
  return useSyncExternalStore(subscribe, get);
}
