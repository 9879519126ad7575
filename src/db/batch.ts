import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Operation } from './operation.ts';

/** A batch of one operation. Its read starts in the next turn of the event loop. */
interface Batch<Key, Value> {
  keys: Key[];
  found: Promise<readonly (Value | undefined)[]>;
}

/**
 * Turns a read for many keys into a function for a single key. A field calls this function once for each object of a list, but
 * `read` is called once for the whole list: with the keys of all calls in a turn. Its results are in the order of the keys.
 */
export function createBatched<App extends { operation?: Operation | undefined }, Key, Value>(
  read: (app: App, keys: readonly Key[]) => Promise<readonly (Value | undefined)[]>,
): (app: App, key: Key) => Promise<Value | undefined> {
  const open = new WeakMap<object, Batch<Key, Value>>();

  function openBatch(app: App, owner: object): Batch<Key, Value> {
    const keys: Key[] = [];
    const found = nextTurn().then(() => {
      open.delete(owner);
      return read(app, keys);
    });
    const batch = { keys, found };
    open.set(owner, batch);
    return batch;
  }

  return async (app, key) => {
    const owner = app.operation ?? app;
    const { keys, found } = open.get(owner) ?? openBatch(app, owner);
    const position = keys.push(key) - 1;
    return (await found)[position];
  };
}
