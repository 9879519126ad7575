import { createValue } from './store.ts';

/** An operation that this page has sent to the API. */
export interface SentOperation {
  id: number;
  kind: 'query' | 'mutation' | 'subscription';
  name: string;
  document: string;
  variables: Record<string, unknown>;
  at: number;
  /** Milliseconds until the answer. Undefined: there is none yet, or a subscription is open. */
  ms: number | undefined;
  /** Bytes of the answer, or of all messages of a subscription. */
  bytes: number;
  /** The messages of a subscription so far. */
  messages: number;
  error: string | undefined;
}

const KEPT = 300;

/** The operations of this page, newest first. */
export const operations = createValue<readonly SentOperation[]>([]);

let last = 0;

/** Adds an operation. Returns a function that changes its entry. */
export function logOperation(
  document: string,
  variables: Record<string, unknown>,
): (change: (entry: SentOperation) => Partial<SentOperation>) => void {
  const id = ++last;
  const [, kind = 'query', name = ''] =
    /\b(query|mutation|subscription)\s+(\w*)/.exec(document) ?? [];
  const entry: SentOperation = {
    id,
    kind: kind as SentOperation['kind'],
    name,
    document,
    variables,
    at: Date.now(),
    ms: undefined,
    bytes: 0,
    messages: 0,
    error: undefined,
  };
  operations.set([entry, ...operations.get()].slice(0, KEPT));
  return (change) =>
    operations.set(
      operations.get().map((each) => (each.id === id ? { ...each, ...change(each) } : each)),
    );
}
