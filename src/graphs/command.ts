import type { Classes } from './classes.ts';

/** The result of a node, or of a client in its place: an update of the state, and the next nodes. */
export interface Instruction {
  update?: unknown;
  goto?: readonly { node: string; input?: unknown }[] | null | undefined;
}

/** The instruction as fields of LangGraph's Command, with the classes of the graph. */
export function toCommandFields({ update, goto }: Instruction, { Send }: Pick<Classes, 'Send'>) {
  return {
    ...(update != null && { update: update as Record<string, unknown> }),
    goto: (goto ?? []).map(({ node, input }) =>
      input === undefined ? node : new Send(node, input),
    ),
  };
}
