import {
  execute,
  getOperationAST,
  GraphQLError,
  visit,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
} from 'graphql';
import type { App } from '../app.ts';
import { startOperation } from '../db/operation.ts';
import { limitedSql, reasonOf } from '../db/operation-limits.ts';
import { AnswerTooLargeError, AppError } from '../errors.ts';
import { isLarger } from './answer-size.ts';

/** An operation, or an event of a subscription as `rootValue`. */
export interface Execution extends ExecutionArgs {
  /** Aborted when no client waits for the result any longer. */
  clientGone: AbortSignal | undefined;
}

/**
 * Executes within the limits of an operation. Over a limit, it returns a single error immediately; resolvers already started
 * end in the background. If the client leaves, it returns after all started resolvers have ended.
 */
export async function executeWithin({ clientGone, ...args }: Execution): Promise<ExecutionResult> {
  const app = args.contextValue as App;
  const operation = startOperation(app.config, {
    fields: fieldsOf(args.document),
    left: clientGone,
    largeReads: app.largeReads,
  });
  // Graphs made by functions live only as long as the operation.
  const own = { made: new Map(), operation, sql: limitedSql(app.sql, operation) };
  const contextValue: App = { ...app, ...own, unlimitedSql: app.sql };
  try {
    const result = await Promise.race([execute({ ...args, contextValue }), operation.exceeded]);
    if (result instanceof AppError) return refusal(await reasonOf(app, result), args);
    const limit = app.config.answerLimitBytes;
    const isTooLarge = await isLarger(result.data, limit);
    return isTooLarge ? refusal(AnswerTooLargeError.ofAnswer(limit), args) : result;
  } finally {
    operation.close();
  }
}

const fields = new WeakMap<DocumentNode, ReadonlySet<string>>();

/** The names of all fields of a document, those of its fragments included. */
export function fieldsOf(document: DocumentNode): ReadonlySet<string> {
  const known = fields.get(document);
  if (known) return known;
  const names = new Set<string>();
  visit(document, { Field: ({ name }) => void names.add(name.value) });
  fields.set(document, names);
  return names;
}

function refusal(error: AppError, { document, operationName }: ExecutionArgs): ExecutionResult {
  const nodes = getOperationAST(document, operationName);
  const shown = new GraphQLError(error.message, { nodes, originalError: error });
  return { data: null, errors: [shown] };
}
