import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  getOperationAST,
  type ExecutionArgs,
  type ExecutionResult,
  type GraphQLError,
} from 'graphql';
import type { ConnectionInitMessage, ServerOptions, SubscribePayload } from 'graphql-ws';
import { useServer, type Extra } from 'graphql-ws/use/ws';
import { WebSocketServer, type WebSocket } from 'ws';
import type { App } from '../app.ts';
import { watchCredentials } from '../auth/credentials.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Config } from '../config.ts';
import { AppError, summarizeError, UnauthenticatedError } from '../errors.ts';
import { interruptible } from '../events/interruptible.ts';
import { CREDENTIALS } from '../http/checks.ts';
import type { Connections } from '../http/connections.ts';
import { refuseConnection, RefusedError } from '../http/refused.ts';
import { limitTraffic, startPulse, type Usage } from '../http/socket-traffic.ts';
import { createMaskError, withoutHttp } from './errors.ts';
import type { Yoga } from './yoga.ts';

/** The API over WebSockets (graphql-transport-ws), executed by Yoga, with the same masking of errors as over HTTP. */
export interface Sockets {
  /** Takes over an accepted upgrade request. */
  accept(request: IncomingMessage, connection: Duplex, head: Buffer): void;
  /** Closes every socket with 1012 (service restart), and waits shortly for the close frames of the clients. */
  close(): Promise<void>;
}

interface Needs {
  yoga: Yoga;
  connections: Connections;
}

const RESTARTING = 1012;
const TRY_LATER = 1013;
/** Clients connect again after this code, with new credentials. */
const REFUSED = 4403;
/** The longest reason in a close frame. */
const MOST_REASON_BYTES = 123;
const CLOSE_WAIT_MS = 300;
/** Time between closing a WebSocket without connection_init and terminating it. */
const CUT_AFTER_MS = 1000;
/** The largest message may arrive in pieces of this size. */
const PIECE_BYTES = 256;
const FEWEST_PIECES = 1000;

/** State of each socket for the handlers of graphql-ws. */
interface Tracked {
  usages: WeakMap<WebSocket, Usage>;
  deadlines: WeakMap<WebSocket, NodeJS.Timeout>;
  viewers: WeakMap<WebSocket, Viewer>;
}

export function createSockets(app: App, { yoga, connections }: Needs): Sockets {
  const { config, log } = app;
  const server = createServer(config);
  const open = new Map<WebSocket, Socket>();
  const tracked: Tracked = {
    usages: new WeakMap(),
    deadlines: new WeakMap(),
    viewers: new WeakMap(),
  };
  const pulse = startPulse(open);
  // No keep-alive of graphql-ws: the pulse does the same without a timer per socket.
  useServer({ isProd: true, ...protocolOptions(app, yoga, tracked) }, server, 0);
  server.on('connection', (socket) => {
    // graphql-ws writes protocol errors of clients to the console; ws has already closed the socket.
    socket.removeAllListeners('error');
    socket.on('error', (error) => log.debug({ err: error }, 'a WebSocket failed'));
  });
  server.on('wsClientError', ({ message }, connection) =>
    refuseConnection(connection, new RefusedError(400, 'BAD_USER_INPUT', `${message}.`)),
  );

  return {
    accept(request, connection, head) {
      server.handleUpgrade(request, connection, head, (socket) => {
        open.set(socket, request.socket);
        const cutAfterMs = config.socketInitSeconds * 1000 + CUT_AFTER_MS;
        tracked.deadlines.set(socket, setTimeout(() => socket.terminate(), cutAfterMs).unref());
        socket.once('close', () => {
          open.delete(socket);
          clearTimeout(tracked.deadlines.get(socket));
        });
        const limits = { connections, unreadBytes: config.socketUnreadBytes };
        tracked.usages.set(socket, limitTraffic(socket, request.socket, limits));
        server.emit('connection', socket, request);
      });
    },
    async close() {
      pulse.stop();
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of server.clients) socket.close(RESTARTING, 'Service restarting');
      await Promise.race([closed, sleep(CLOSE_WAIT_MS)]);
      for (const socket of server.clients) socket.terminate();
      await closed;
    },
  };
}

/** The WebSocket server, without a listening port of its own. */
function createServer(config: Config): WebSocketServer {
  const pieces = Math.max(FEWEST_PIECES, Math.ceil(config.bodyLimitBytes / PIECE_BYTES));
  // A separate constant, because the types of ws lack closeTimeout.
  const options = {
    noServer: true,
    maxPayload: config.bodyLimitBytes,
    maxFragments: pieces,
    maxBufferedChunks: pieces,
    // Gives a slow client time to read the close reason.
    closeTimeout: config.writeSeconds * 1000,
  };
  return new WebSocketServer(options);
}

/** The handlers of graphql-ws: count operations, execute them with Yoga and mask their errors. */
function protocolOptions(
  app: App,
  yoga: Yoga,
  { usages, deadlines, viewers }: Tracked,
): ServerOptions<ConnectionInitMessage['payload'], Extra> {
  const { config, log } = app;
  const maskError = createMaskError(log);
  const { execute, subscribe } = yoga.getEnveloped({});
  return {
    connectionInitWaitTimeout: config.socketInitSeconds * 1000,
    execute: (args) => interruptible((clientGone) => resultOf(execute, args, clientGone)),
    subscribe,
    async onConnect({ extra: { socket, request }, connectionParams }) {
      clearTimeout(deadlines.get(socket));
      const usage = usages.get(socket);
      if (usage) usage.initBytes = usage.messageBytes;
      const viewer = await logIn(app, socket, { request, connectionParams });
      if (viewer) viewers.set(socket, viewer);
      return viewer !== undefined;
    },
    async onSubscribe({ extra: { socket, request }, subscriptions }, _id, payload) {
      const { messageBytes = 0, operations } = usages.get(socket) ?? {};
      // `subscriptions` already contains the new operation.
      const count = Object.keys(subscriptions).length;
      if (isOver(config.socketOperationLimit, count, operations?.size ?? 0)) {
        return [withoutHttp(maskError(tooManyOperations(config.socketOperationLimit)))];
      }
      operations?.set(payload, messageBytes);
      const prepared = await prepare(
        yoga,
        { request, payload, viewer: viewers.get(socket) },
        maskError,
      );
      if (Array.isArray(prepared)) operations?.delete(payload);
      return prepared;
    },
    onComplete: ({ extra: { socket } }, _id, payload) =>
      void usages.get(socket)?.operations.delete(payload),
    onNext: (_context, _id, _payload, _args, result) =>
      result.errors && { ...result, errors: result.errors.map(withoutHttp) },
  };
}

interface Connecting {
  request: IncomingMessage;
  connectionParams: Record<string, unknown> | undefined;
}

/**
 * The viewer of a connection. Closes the connection if the credentials are not valid, or when they end; a close with 4403 asks the
 * client to connect again with new ones.
 */
async function logIn(
  { auth, log }: Pick<App, 'auth' | 'log'>,
  socket: WebSocket,
  { request, connectionParams }: Connecting,
): Promise<Viewer | undefined> {
  try {
    const headers = headersOf(request, connectionParams);
    const viewer = await auth.authenticate(headers);
    if (socket.readyState !== socket.OPEN) return undefined;
    const stop = watchCredentials({ auth, headers, viewer }, () =>
      socket.close(REFUSED, 'The credentials have expired.'),
    );
    socket.once('close', stop);
    return viewer;
  } catch (error) {
    const isRefused = error instanceof AppError && error.code !== 'SERVICE_UNAVAILABLE';
    if (!isRefused) log.error({ err: error }, 'a client could not log in');
    const reason = isRefused ? summarizeError(error).message : 'Try again later.';
    socket.close(isRefused ? REFUSED : TRY_LATER, cutToBytes(reason));
    return undefined;
  }
}

function cutToBytes(reason: string): string {
  return Buffer.from(reason)
    .subarray(0, MOST_REASON_BYTES)
    .toString()
    .replace(/\uFFFD$/, '');
}

/**
 * The headers of the upgrade request and the `connectionParams`: browsers cannot set headers of a WebSocket. Only credentials
 * replace a header of the request: a proxy may have set the others. Throws UnauthenticatedError for credentials that are no text.
 */
function headersOf({ headers }: IncomingMessage, params: Record<string, unknown> = {}): Headers {
  const merged = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string' && isHeader(name, value)) merged.set(name, value);
  }
  const given = new Set<string>();
  for (const [param, value] of Object.entries(params)) {
    const name = param.toLowerCase();
    const isCredential = CREDENTIALS.includes(name);
    const isText = typeof value === 'string' && isHeader(name, value);
    if (isCredential && (!isText || given.has(name))) {
      throw new UnauthenticatedError(`connectionParams.${param} must be one text.`);
    }
    if (!isText || (!isCredential && (merged.has(name) || OF_PROXIES.test(name)))) continue;
    given.add(name);
    merged.set(name, value);
  }
  return merged;
}

const OF_PROXIES = /^(host|cookie|forwarded|x-forwarded-.*|x-real-ip|via)$/;

function isHeader(name: string, value: string): boolean {
  return /^[a-zA-Z0-9-]+$/.test(name) && /^[\x20-\x7e]*$/.test(value);
}

/** Operations count until they end. Operations completed early by the client have a limit of the same size. */
function isOver(limit: number, count: number, withGivenUp: number): boolean {
  return count > limit || withGivenUp >= 2 * limit;
}

function tooManyOperations(limit: number): AppError {
  return new AppError(
    'BAD_USER_INPUT',
    `Limit of ${limit} operations at a time on one WebSocket exceeded. SOCKET_OPERATION_LIMIT sets the limit.`,
  );
}

type Execute = ReturnType<Yoga['getEnveloped']>['execute'];

/** The result of a query or mutation as a stream. graphql-ws ends a stream if its client completes it or leaves. */
async function* resultOf(
  execute: Execute,
  args: ExecutionArgs,
  clientGone: AbortSignal,
): AsyncGenerator<ExecutionResult, void> {
  const contextValue: object = {
    ...(args.contextValue as object),
    request: { signal: clientGone },
  };
  const result = (await execute({ ...args, contextValue })) as ExecutionResult;
  if (!clientGone.aborted) yield result;
}

/** A requested operation. */
interface Requested {
  request: IncomingMessage;
  payload: SubscribePayload;
  viewer: Viewer | undefined;
}

/** The arguments for the execution, or the errors of the operation. Must not throw: an exception closes the socket. */
async function prepare(
  yoga: Yoga,
  { request, payload: params, viewer }: Requested,
  maskError: ReturnType<typeof createMaskError>,
): Promise<ExecutionArgs | GraphQLError[]> {
  try {
    const { schema, parse, validate, contextFactory } = yoga.getEnveloped({
      req: request,
      params,
      ...(viewer && { viewer }),
    });
    const document = parse(params.query);
    const errors = validate(schema, document);
    if (errors.length > 0) return errors.map(withoutHttp);
    // The error of graphql-ws has no code.
    if (!getOperationAST(document, params.operationName)) {
      throw new AppError('BAD_USER_INPUT', 'Could not determine what operation to execute.');
    }
    const context = await contextOf(contextFactory);
    if (Array.isArray(context)) return context;
    return {
      schema,
      document,
      operationName: params.operationName,
      variableValues: params.variables,
      ...context,
    };
  } catch (error) {
    return [withoutHttp(maskError(error))];
  }
}

/** The context of an operation, or its errors. Yoga has masked them: a second mask would change their codes. */
async function contextOf(
  contextFactory: () => unknown,
): Promise<Pick<ExecutionArgs, 'contextValue'> | GraphQLError[]> {
  try {
    return { contextValue: await contextFactory() };
  } catch (error) {
    return [withoutHttp(error as GraphQLError)];
  }
}
