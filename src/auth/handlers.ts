import { isRecord } from '../json.ts';

/** The handlers of a project: LangGraph's `Auth`, as the file of `auth.path` in langgraph.json exports it. */
export interface Handlers {
  authenticate: (request: Request) => unknown;
  /** By event: `threads:create`, `threads`, `*:create` or `*`. */
  callbacks: ReadonlyMap<string, Callback>;
}

export type Callback = (parameter: CallbackParameter) => unknown;

/** The argument of a handler of `on`. */
export interface CallbackParameter {
  event: string;
  resource: string;
  action: string;
  /** The handler may change it: the changed value is used. */
  value: Record<string, unknown>;
  user: Record<string, unknown>;
  permissions: string[];
}

/** The actions of this server. */
const ACTIONS: Record<string, readonly string[]> = {
  threads: ['create', 'read', 'update', 'delete', 'search', 'create_run'],
  assistants: ['create', 'read', 'update', 'delete', 'search'],
};

/** The actions of LangGraph's further resources. */
const FURTHER: Record<string, readonly string[]> = {
  crons: ['create', 'read', 'update', 'delete', 'search'],
  store: ['put', 'get', 'search', 'list_namespaces', 'delete'],
};

/** Reads an export as `Auth`. Not with instanceof: a project may have its own copy of the package. Throws if it is none. */
export function readHandlers(exported: unknown): Handlers {
  const cache = isRecord(exported) ? exported['~handlerCache'] : undefined;
  if (!isRecord(cache)) {
    throw new Error('it must be an Auth of "@langchain/langgraph-sdk/auth".');
  }
  const { authenticate, callbacks = {} } = cache;
  if (typeof authenticate !== 'function') {
    throw new Error('it has no handler for authenticate.');
  }
  const entries = Object.entries(isRecord(callbacks) ? callbacks : {}).map(
    ([event, callback]): [string, Callback] => {
      if (typeof callback === 'function') return [event, callback as Callback];
      throw new Error(`its handler of ${event} is not a function.`);
    },
  );
  return { authenticate: authenticate as Handlers['authenticate'], callbacks: new Map(entries) };
}

/** The most specific handler of an action. */
export function callbackOf({ callbacks }: Handlers, event: string): Callback | undefined {
  const [resource, action] = event.split(':');
  const names = [event, resource ?? '', `*:${action}`, '*'];
  const name = names.find((each) => callbacks.has(each));
  return name === undefined ? undefined : callbacks.get(name);
}

/** The actions of this server without a handler. */
export function uncoveredActions(handlers: Handlers): string[] {
  return eventsOf(ACTIONS).filter((event) => !callbackOf(handlers, event));
}

/** The names of handlers that no action calls, such as a name with a mistake. */
export function unknownEvents({ callbacks }: Handlers): string[] {
  const resources = { ...ACTIONS, ...FURTHER };
  const events = eventsOf(resources);
  const known = new Set([
    '*',
    ...Object.keys(resources),
    ...events,
    ...events.map((event) => event.replace(/^\w+/, '*')),
  ]);
  return [...callbacks.keys()].filter((event) => !known.has(event));
}

function eventsOf(resources: Record<string, readonly string[]>): string[] {
  return Object.entries(resources).flatMap(([resource, actions]) =>
    actions.map((action) => `${resource}:${action}`),
  );
}
