import { Send } from '@langchain/langgraph';

/** What a node, or a person in its place, tells a graph: an update of the state, and where to go. */
export interface Instruction {
  update?: unknown;
  goto?: readonly { node: string; input?: unknown }[] | null | undefined;
}

/** The fields of LangGraph's Command that say it. */
export function toCommandFields({ update, goto }: Instruction) {
  return {
    ...(update != null && { update: update as Record<string, unknown> }),
    goto: (goto ?? []).map(({ node, input }) =>
      input === undefined ? node : new Send(node, input),
    ),
  };
}
