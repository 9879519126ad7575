/** The node of an entry of a namespace, which is `node:id of the task`. */
export function nodeOf(entry: string): string {
  return entry.split(':')[0] ?? entry;
}
