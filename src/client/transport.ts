import { createClient, type Client, type ClientOptions } from 'graphql-ws';
import type { Document } from './documents.ts';
import type { TextStorage } from './outbox.ts';

const PING_MS = 10_000;
const PONG_MS = 5000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** Keeps the socket for the next request. */
const LINGER_MS = 1000;

/** Close codes with which a server refuses a client for good. */
const REFUSING_CODES = new Set([4400, 4401, 4406]);
/** The credentials are not valid, or no longer. */
const BAD_CREDENTIALS = 4403;

export interface ClientSettings {
  /** The GraphQL endpoint: `http://…`, `https://…`, `ws://…` or `wss://…`. */
  url: string;
  /** A WebSocket class. Default: the global one. */
  webSocketImpl?: unknown;
  /**
   * Sent when a connection opens, such as `{ authorization: "Bearer …" }`. A function is called for each connection: when a token
   * has expired, the client connects again with the next one. Without a function, an expired token ends the stores.
   */
  connectionParams?: ClientOptions['connectionParams'];
  /**
   * Keeps messages until the server has accepted them: after a reload or a crash of the page, the next page sends them. Default: the
   * localStorage of the browser; null: nowhere.
   */
  storage?: TextStorage | null;
  /** The person at the browser: `storage` keeps unsent messages for each one. */
  user?: string;
}

/** A refusal of the server. All other errors are errors of the network. */
export class RefusedError extends Error {
  override name = 'RefusedError';
  /** The code of the GraphQL error, or the close code of the connection. */
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

const TEMPORARY = ['SERVICE_UNAVAILABLE', 'RATE_LIMITED'];

/** Whether the server has refused the credentials, not the request. */
export function isAboutCredentials(error: unknown): boolean {
  return (
    error instanceof RefusedError &&
    [String(BAD_CREDENTIALS), 'UNAUTHENTICATED'].includes(error.code)
  );
}

/** Whether the same request may succeed later. */
export function isTemporary(error: unknown): boolean {
  return !(error instanceof RefusedError) || TEMPORARY.includes(error.code);
}

export interface Transport {
  /** Sends a query or a mutation once. */
  request<Result, Variables extends Record<string, unknown>>(
    document: Document<Result, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ): Promise<Result>;
  /** Resolves when the server completes the subscription, when `onData` returns 'enough', or when the signal aborts. */
  follow<Result, Variables extends Record<string, unknown>>(
    document: Document<Result, Variables>,
    variables: Variables,
    signal: AbortSignal,
    onData: (data: Result) => 'enough' | void,
  ): Promise<void>;
}

export function createTransport(settings: ClientSettings): Transport {
  const client = connect(settings);
  const mayRenew = typeof settings.connectionParams === 'function';

  /** The errors of graphql-ws: a list of GraphQL errors, a close event, or an Error. */
  function errorOf(thrown: unknown): Error {
    if (Array.isArray(thrown)) {
      const [{ message, extensions }] = thrown;
      return new RefusedError(message, String(extensions?.code));
    }
    if (thrown instanceof Error) return thrown;
    const { code = 0, reason = '' } = thrown as { code?: number; reason?: string };
    const isFinal = REFUSING_CODES.has(code) || (code === BAD_CREDENTIALS && !mayRenew);
    return isFinal
      ? new RefusedError(reason, String(code))
      : new Error(`The connection closed: ${code} ${reason}`.trim());
  }

  async function follow<Result, Variables extends Record<string, unknown>>(
    document: Document<Result, Variables>,
    variables: Variables,
    signal: AbortSignal,
    onData: (data: Result) => 'enough' | void,
  ): Promise<void> {
    const { promise, resolve, reject } = settleable();
    const query = document as unknown as string;
    const leave = client.subscribe<Result>(
      { query, variables },
      {
        next({ data, errors }) {
          if (errors) reject(errorOf(errors));
          else if (data && onData(data) === 'enough') resolve();
        },
        error: (error) => reject(errorOf(error)),
        complete: resolve,
      },
    );
    signal.addEventListener('abort', resolve);
    if (signal.aborted) resolve();
    await promise.finally(() => {
      signal.removeEventListener('abort', resolve);
      leave();
    });
  }

  return {
    follow,
    async request<Result, Variables extends Record<string, unknown>>(
      document: Document<Result, Variables>,
      variables: Variables,
      signal: AbortSignal = new AbortController().signal,
    ) {
      const answers: Result[] = [];
      await follow(document, variables, signal, (data) => void answers.push(data));
      const [answer] = answers;
      if (answer === undefined) throw new Error('The request has no answer.');
      return answer;
    },
  };
}

/** The client of graphql-ws. It connects when there is something to send. */
function connect({ url, storage: _, user: __, ...settings }: ClientSettings): Client {
  let silence: ReturnType<typeof setTimeout> | undefined;
  const client = createClient({
    ...settings,
    url: url.replace(/^http/, 'ws'),
    // The library would repeat a subscription from its first cursor. The stores continue from their last event.
    retryAttempts: 0,
    lazyCloseTimeout: LINGER_MS,
    keepAlive: PING_MS,
    on: {
      ping(isReceived) {
        // After a sleep of the computer, the socket is dead without a close event.
        if (!isReceived) silence = setTimeout(() => client.terminate(), PONG_MS);
      },
      pong: () => clearTimeout(silence),
      closed: () => clearTimeout(silence),
    },
  });
  return client;
}

function settleable() {
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((settle, fail) => {
    resolve = settle;
    reject = fail;
  });
  return { promise, resolve, reject };
}

/** Repeats a request until it has an answer. Only a final refusal rejects. */
export async function persist<Result>(
  request: () => Promise<Result>,
  signal = new AbortController().signal,
): Promise<Result> {
  for (let failures = 0; ; failures++) {
    try {
      return await request();
    } catch (error) {
      if (signal.aborted || !isTemporary(error)) throw error;
      await pause(failures, signal);
    }
  }
}

/** Waits before the next attempt: longer after each failure, until the network is back or the page is visible again. */
export function pause(failures: number, signal: AbortSignal): Promise<void> {
  const page: Partial<EventTarget> = globalThis;
  const longestMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
  return new Promise((resolve) => {
    const timer = setTimeout(end, longestMs * (0.5 + Math.random() / 2));
    const wakers: [Partial<EventTarget>, string][] = [
      [page, 'online'],
      [page, 'visibilitychange'],
      [signal, 'abort'],
    ];
    for (const [target, type] of wakers) target.addEventListener?.(type, end);
    function end(): void {
      clearTimeout(timer);
      for (const [target, type] of wakers) target.removeEventListener?.(type, end);
      resolve();
    }
  });
}
