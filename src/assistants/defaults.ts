import { z } from 'zod';
import { describeZodError } from '../describe-zod-error.ts';
import { summarizeError } from '../errors.ts';
import { checkConfig } from './config.ts';
import type { InputLimits } from './limits.ts';

/** The configuration of a graph's default assistant. */
export interface AssistantDefaults {
  config: Record<string, unknown>;
  /** Null without a context. */
  context: Record<string, unknown> | null;
}

const Defaults = z.record(
  z.string(),
  z.looseObject(
    { context: z.record(z.string(), z.unknown(), 'must be an object').optional() },
    'must be an object',
  ),
  'must be an object',
);

/**
 * Reads LANGGRAPH_CONFIG like the open LangGraph.js server: a JSON object from graph ids to configurations, each with the
 * assistant's context under `context`. Throws on bad JSON and on a configuration of a wrong shape.
 */
export function readAssistantDefaults(
  env: NodeJS.ProcessEnv,
  limits: InputLimits,
): Map<string, AssistantDefaults> {
  const text = env['LANGGRAPH_CONFIG'];
  if (!text) return new Map();
  try {
    const defaults = Object.entries(Defaults.parse(JSON.parse(text)));
    return new Map(
      defaults.map(([graphId, { context = null, ...config }]) => {
        checkConfig(limits, graphId, config);
        return [graphId, { config, context }];
      }),
    );
  } catch (cause) {
    const reason =
      cause instanceof z.ZodError ? describeZodError(cause) : summarizeError(cause).message;
    throw new Error(
      `LANGGRAPH_CONFIG must be a JSON object with a configuration for each graph: ${reason}`,
      {
        cause,
      },
    );
  }
}
