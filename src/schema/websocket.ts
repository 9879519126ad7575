import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { getOperationAST, type ExecutionArgs, type GraphQLError } from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { createGraphQLError } from 'graphql-yoga';
import { WebSocketServer, type WebSocket } from 'ws';
import type { App } from '../app.ts';
import { corkThisTurn } from '../cork.ts';
import { AppError } from '../errors.ts';
import { createMaskError } from './errors.ts';
import type { Yoga } from './yoga.ts';

/** The API over WebSockets (graphql-transport-ws), executed by Yoga, so that errors are masked as they are over HTTP. */
export interface Sockets {
  /** Takes over a connection that asked for an upgrade and was let in. */
  accept(request: IncomingMessage, connection: Duplex, head: Buffer): void;
  /** Tells every client to come back later (1012), and waits a moment for their goodbyes. */
  close(): Promise<void>;
}

const RESTARTING = 1012;
const TRY_LATER = 1013;
const GOODBYE_MS = 300;

/** What a client may leave unread before it is sent away. */
const UNSENT_LIMIT_BYTES = 8 * 1024 * 1024;

/** About what is written at once. */
const GATHERED_BYTES = 65_536;

export function createSockets({ config, log }: App, yoga: Yoga): Sockets {
  const maskError = createMaskError(log);
  const { execute, subscribe } = yoga.getEnveloped({});
  const server = new WebSocketServer({ noServer: true, maxPayload: config.bodyLimitBytes });
  useServer(
    {
      isProd: true,
      connectionInitWaitTimeout: config.socketInitSeconds * 1000,
      execute,
      subscribe,
      onSubscribe({ extra, subscriptions }, _id, payload) {
        // It is among them already.
        if (Object.keys(subscriptions).length > config.socketOperationLimit) {
          return [withoutHttp(maskError(tooManyOperations(config.socketOperationLimit)))];
        }
        return prepare(yoga, extra.request, payload, maskError);
      },
      onNext({ extra: { socket } }, _id, _payload, _args, result) {
        if (socket.bufferedAmount > UNSENT_LIMIT_BYTES) socket.close(TRY_LATER, 'Reads too slowly');
        return result.errors && { ...result, errors: result.errors.map(withoutHttp) };
      },
    },
    server,
  );
  server.on('connection', (socket) => {
    // graphql-ws writes to the console what clients get wrong; ws has closed the socket by then.
    socket.removeAllListeners('error');
    socket.on('error', (error) => log.debug({ err: error }, 'a WebSocket failed'));
  });

  return {
    accept(request, connection, head) {
      server.handleUpgrade(request, connection, head, (socket) => {
        gatherMessages(socket, connection);
        server.emit('connection', socket, request);
      });
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of server.clients) socket.close(RESTARTING, 'Service restarting');
      await Promise.race([closed, sleep(GOODBYE_MS)]);
      for (const socket of server.clients) socket.terminate();
      await closed;
    },
  };
}

/**
 * Messages that follow each other without a pause are written at once. graphql-ws makes the next one when it is told that the
 * last one is sent: it is told so at once as long as little is unsent.
 */
function gatherMessages(socket: WebSocket, connection: Duplex): void {
  const send: Send = socket.send.bind(socket);
  const gather: Send = (data, done) => {
    corkThisTurn(connection);
    if (socket.bufferedAmount + data.length > GATHERED_BYTES) return send(data, done);
    send(data);
    done?.();
  };
  socket.send = gather as WebSocket['send'];
}

type Send = (data: string, done?: (error?: Error) => void) => void;

function tooManyOperations(limit: number): AppError {
  return new AppError(
    'BAD_USER_INPUT',
    `Limit of ${limit} operations at a time on one WebSocket exceeded. SOCKET_OPERATION_LIMIT sets the limit.`,
  );
}

/** What an operation executes with, or what is wrong with it. Nothing may be thrown: it would close the socket. */
async function prepare(
  yoga: Yoga,
  request: IncomingMessage,
  params: SubscribePayload,
  maskError: ReturnType<typeof createMaskError>,
): Promise<ExecutionArgs | GraphQLError[]> {
  try {
    const { schema, parse, validate, contextFactory } = yoga.getEnveloped({ req: request, params });
    const document = parse(params.query);
    const errors = validate(schema, document);
    if (errors.length > 0) return errors.map(withoutHttp);
    // graphql-ws would say so without a code.
    if (!getOperationAST(document, params.operationName)) {
      throw new AppError('BAD_USER_INPUT', 'Could not determine what operation to execute.');
    }
    return {
      schema,
      document,
      operationName: params.operationName,
      variableValues: params.variables,
      contextValue: await contextFactory(),
    };
  } catch (error) {
    return [withoutHttp(maskError(error))];
  }
}

/** Yoga keeps the HTTP status in errors, and takes it out only of what it sends itself. */
function withoutHttp(error: GraphQLError): GraphQLError {
  const { nodes, source, positions, path } = error;
  const extensions = { ...error.extensions };
  delete extensions['http'];
  return createGraphQLError(error.message, { nodes, source, positions, path, extensions });
}
