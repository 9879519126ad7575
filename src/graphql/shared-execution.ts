import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
} from 'graphql';
import type { ClientApp } from '../app.ts';
import { scopeKey } from '../auth/viewer.ts';
import { executeWithin } from './execution.ts';

/** A result for Yoga's result processors. `stringify` makes the text of an HTTP response. */
interface SharedResult extends ExecutionResult {
  stringify?: (result: ExecutionResult) => string;
}

/** The execution of an event for equal subscriptions. */
interface SharedExecution {
  result: Promise<SharedResult>;
  isDone: boolean;
  /** The number of waiting subscribers. Without any, the execution is aborted. */
  waiting: number;
  leaving: AbortController;
}

/** The executions of an event, by subscription. */
type Executions = Map<string, SharedExecution>;

/**
 * graphql's `subscribe`, for many subscribers of the same events. Subscriptions of a scope with the same document and variables share the
 * execution of each event, and over SSE also its JSON text. The key of an event is its object.
 */
export function createSharedSubscribe(): (
  args: ExecutionArgs,
) => Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
  const executions = new WeakMap<object, Executions>();
  const documents = new WeakMap<DocumentNode, number>();
  let documentsSeen = 0;

  function keyOf({ document, operationName, variableValues, contextValue }: ExecutionArgs): string {
    const { viewer } = contextValue as ClientApp;
    const id = documents.get(document) ?? documentsSeen++;
    documents.set(document, id);
    return JSON.stringify([id, operationName, variableValues, scopeKey(viewer)]);
  }

  function executionOf(event: unknown, key: string, args: ExecutionArgs): SharedExecution {
    if (typeof event !== 'object' || event === null) return startExecution(event, args);
    const known: Executions = executions.get(event) ?? new Map();
    executions.set(event, known);
    const before = known.get(key);
    if (before && (before.isDone || before.waiting > 0)) return before;
    const execution = startExecution(event, args);
    known.set(key, execution);
    return execution;
  }

  return async (args) => {
    const source = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in source)) return source;
    const key = keyOf(args);
    const events = source[Symbol.asyncIterator]();
    let current: SharedExecution | undefined;
    const leave = (): void => {
      if (current) leaveExecution(current);
      current = undefined;
    };
    const shared: AsyncIterableIterator<ExecutionResult> = {
      async next() {
        const event = await events.next();
        if (event.done) return { done: true, value: undefined };
        current = executionOf(event.value, key, args);
        current.waiting += 1;
        const value = await current.result;
        leave();
        return { done: false, value };
      },
      // Ends at once, also during a wait for an event.
      async return() {
        leave();
        await events.return?.();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
    return shared;
  };
}

function startExecution(event: unknown, args: ExecutionArgs): SharedExecution {
  const leaving = new AbortController();
  const result = executeWithin({ ...args, rootValue: event, clientGone: leaving.signal });
  const execution = { result: result.then(withText), isDone: false, waiting: 0, leaving };
  const done = (): void => {
    execution.isDone = true;
  };
  execution.result.then(done, done);
  return execution;
}

function leaveExecution(execution: SharedExecution): void {
  execution.waiting -= 1;
  if (execution.waiting === 0 && !execution.isDone) execution.leaving.abort('no subscriber waits');
}

/** Adds the JSON text, made on first use. */
function withText(result: ExecutionResult): SharedResult {
  let text: string | undefined;
  if (result.errors) return result; // Yoga masks errors in each response
  return { ...result, stringify: ({ data }) => (text ??= JSON.stringify({ data })) };
}
