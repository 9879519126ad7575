/** A namespace without its tasks, as a subgraph has it that keeps its state. */
export function namesIn(namespace: string): string {
  return namespace.replaceAll(/:[^|]*/g, '');
}
