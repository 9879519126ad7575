import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { describeZodError } from '../describe-zod-error.ts';
import { summarizeError } from '../errors.ts';

const GraphsFile = z.looseObject(
  {
    graphs: z.record(
      z.string(),
      z.union(
        [z.string(), z.object({ path: z.string() })],
        'must be the path of a graph, such as "./agent.ts:graph"',
      ),
      'must be an object with the path of each graph',
    ),
    // A list contains names of variables in the environment.
    env: z
      .union(
        [z.string(), z.record(z.string(), z.string()), z.array(z.string())],
        'must be the path of a file, an object of texts, or a list of names',
      )
      .optional(),
    auth: z
      .object(
        { path: z.string('must be the path of an Auth, such as "./auth.ts:auth"') },
        'must be an object with a path',
      )
      .nullish(),
  },
  'must be an object',
);
export type GraphsFile = z.infer<typeof GraphsFile>;

/** Reads langgraph.json. Throws an error that names the file. */
export async function readGraphsFile(path: string): Promise<GraphsFile> {
  try {
    return GraphsFile.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    const reason =
      cause instanceof z.ZodError ? describeZodError(cause) : summarizeError(cause).message;
    throw new Error(`${path} does not define the graphs to serve: ${reason}`, { cause });
  }
}
