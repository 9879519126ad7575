/** The watchers of a thread, and the version of the newest row for them. */
export interface Topic<Watcher> {
  watchers: Set<Watcher>;
  version: string | undefined;
}

/** The threads with watchers of their own. */
export interface Topics<Watcher> {
  get(id: string): Topic<Watcher> | undefined;
  add(watcher: Watcher, id: string): void;
  remove(watcher: Watcher, id: string): void;
  /** The next `limit` threads, in turn. At the end of the turn, fewer threads. */
  next(limit: number): [id: string, Topic<Watcher>][];
}

export function createTopics<Watcher>(): Topics<Watcher> {
  const topics = new Map<string, Topic<Watcher>>();
  let rotation = topics.entries();

  return {
    get: (id) => topics.get(id),
    add(watcher, id) {
      const topic = topics.get(id) ?? { watchers: new Set(), version: undefined };
      topics.set(id, topic);
      topic.watchers.add(watcher);
    },
    remove(watcher, id) {
      const topic = topics.get(id);
      topic?.watchers.delete(watcher);
      if (topic?.watchers.size === 0) topics.delete(id);
    },
    next(limit) {
      const seen: [string, Topic<Watcher>][] = [];
      while (seen.length < limit) {
        const { value, done } = rotation.next();
        if (done) {
          rotation = topics.entries();
          break;
        }
        seen.push(value);
      }
      return seen;
    },
  };
}
