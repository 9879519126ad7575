import type { CompiledGraph } from './load.ts';

/**
 * The reason why the graph's schema refuses an input. Undefined if the schema accepts the input, or without a schema.
 * LangGraph makes the same check at the start of a run. The earlier check avoids a run without a chance of success.
 */
export async function inputRefusal(
  graph: CompiledGraph,
  input: unknown,
): Promise<string | undefined> {
  // A method of LangGraph outside its public types.
  const { _validateInput: validate } = graph as unknown as {
    _validateInput?: (input: unknown) => Promise<unknown>;
  };
  try {
    // A copy: the check may fill in defaults.
    await validate?.call(graph, structuredClone(input));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
