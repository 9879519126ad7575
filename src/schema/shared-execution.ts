import {
  createSourceEventStream,
  execute,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
} from 'graphql';

/** What Yoga's processors send; `stringify` makes the text of an answer over HTTP. */
interface SharedResult extends ExecutionResult {
  stringify?: (result: ExecutionResult) => string;
}

/** What was made of an event, by subscription. */
type Results = Map<string, Promise<SharedResult>>;

/**
 * graphql's `subscribe`, for many subscribers of the same events: equal subscriptions, which are the same document with the
 * same variables, are executed once for each event, and over SSE written out once. An event is known by its object.
 */
export function createSharedSubscribe(): (
  args: ExecutionArgs,
) => Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
  const results = new WeakMap<object, Results>();
  const documents = new WeakMap<DocumentNode, number>();
  let documentsSeen = 0;

  function keyOf({ document, operationName, variableValues }: ExecutionArgs): string {
    const id = documents.get(document) ?? documentsSeen++;
    documents.set(document, id);
    return JSON.stringify([id, operationName, variableValues]);
  }

  function resultOf(event: unknown, key: string, args: ExecutionArgs): Promise<SharedResult> {
    const run = async () => withText(await execute({ ...args, rootValue: event }));
    if (typeof event !== 'object' || event === null) return run();
    const known: Results = results.get(event) ?? new Map();
    results.set(event, known);
    const result = known.get(key) ?? run();
    known.set(key, result);
    return result;
  }

  return async (args) => {
    const source = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in source)) return source;
    const key = keyOf(args);
    const events = source[Symbol.asyncIterator]();
    const shared: AsyncIterableIterator<ExecutionResult> = {
      async next() {
        const event = await events.next();
        if (event.done) return { done: true, value: undefined };
        return { done: false, value: await resultOf(event.value, key, args) };
      },
      // At once, also while an event is waited for.
      async return() {
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

/** The result with its text, made when it is first asked for. */
function withText(result: ExecutionResult): SharedResult {
  let text: string | undefined;
  if (result.errors) return result; // those are masked, each time anew
  return { ...result, stringify: ({ data }) => (text ??= JSON.stringify({ data })) };
}
