import type { CompiledGraph } from './load.ts';

/**
 * Why the graph's own schema refuses an input, or undefined where it takes it or declares none. LangGraph makes the
 * same check when a run starts; asked before, it spares a run that cannot succeed.
 */
export async function inputRefusal(
  graph: CompiledGraph,
  input: unknown,
): Promise<string | undefined> {
  // The check is LangGraph's, but not part of its public types.
  const { _validateInput: validate } = graph as unknown as {
    _validateInput?: (input: unknown) => Promise<unknown>;
  };
  try {
    // A copy: checking may fill in defaults.
    await validate?.call(graph, structuredClone(input));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
