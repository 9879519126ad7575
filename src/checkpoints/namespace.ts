/** A namespace without task ids: the namespace of a subgraph with persistent state. */
export function namesIn(namespace: string): string {
  return namespace.replaceAll(/:[^|]*/g, '');
}
