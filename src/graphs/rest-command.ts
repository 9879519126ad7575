import { z } from 'zod';

/** A node, or a node with an input of its own. LangGraph's Send has this input as `args`. */
const target = z.union([
  z.string().transform((node) => ({ node })),
  z
    .object({ node: z.string(), input: z.unknown().optional(), args: z.unknown().optional() })
    .transform(({ node, input, args }) => ({ node, input: input === undefined ? args : input })),
]);

/** The JSON of a Command. `goto` is a target or a list of targets. LangGraph's Command has an empty list by default. */
export const command = z.object({
  update: z.unknown().optional(),
  resume: z.unknown().optional(),
  goto: z
    .union([z.array(target), target.transform((one) => [one])])
    .transform((targets) => (targets.length > 0 ? targets : null))
    .nullish(),
});
