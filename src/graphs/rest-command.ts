import { z } from 'zod';

/** A node, or a node with an input of its own (LangGraph's Send). */
const target = z.union([
  z.string().transform((node) => ({ node })),
  z.object({ node: z.string(), input: z.unknown().optional() }),
]);

/** The JSON of a Command. `goto` is a target or a list of targets. */
export const command = z.object({
  update: z.unknown().optional(),
  resume: z.unknown().optional(),
  goto: z.union([z.array(target), target.transform((one) => [one])]).nullish(),
});
