import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { corkThisTurn } from './cork.ts';
import type { Logger } from '../log.ts';
import { createAccess, isLoopback, type Access } from './access.ts';
import { checkContentType, parseBody, readBody } from './body.ts';
import {
  allowOrigin,
  checkCredentials,
  checkExpectation,
  checkHost,
  checkOrigin,
  checkSite,
  isEmbedded,
} from './checks.ts';
import { createConnections, type Connections } from './connections.ts';
import { createRefusedOrigins } from './refused-origins.ts';
import { COMMON_HEADERS, refuseConnection, RefusedError, refuseRequest } from './refused.ts';
import { isStream } from './streams.ts';

/** The API on the network: GraphQL over HTTP, SSE and WebSocket at /graphql, GraphiQL for browsers, /health, /ready. */
export interface HttpServer {
  /** Returns the URL of the server, such as http://127.0.0.1:4000. Throws if the port is taken. */
  listen(): Promise<string>;
  /**
   * Accepts no more requests, cuts off subscriptions so that their clients connect again, and gives unfinished answers five
   * seconds. The server still executes a request after the cut of its answer.
   */
  close(): Promise<void>;
}

/** Sends a file to a browser. */
export type SendFile = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** An API at one path, over HTTP, SSE and WebSocket. */
export interface Front {
  path: string;
  /** Answers a request after the checks of its host, origin and body size. A JSON body is parsed: `request.body`. */
  answer(request: IncomingMessage, response: ServerResponse): unknown;
  /** Finds the page that a browser asks for at this path, and the files of the page below it. Absent: no page. */
  findFile?: ((request: IncomingMessage) => SendFile | undefined) | undefined;
  /** Takes over a connection for a WebSocket. */
  acceptSocket(request: IncomingMessage, connection: Duplex, head: Buffer): void;
  /** Asks the clients of all WebSockets to connect again later, and closes the WebSockets. */
  closeSockets(): Promise<void>;
}

const ANSWER_WITHIN_MS = 5000;

/** Parts of the server that each request needs. */
interface Serving {
  config: Config;
  log: Logger;
  access: Access;
  connections: Connections;
  front: Front;
  /** Logs an origin that the server refuses. */
  noteRefused: (origin: string) => void;
}

export function createHttpServer(
  { config, log }: { config: Config; log: Logger },
  createFront: (connections: Connections) => Front,
): HttpServer {
  const answers = new Set<ServerResponse>();
  // connections.ts has the limits of time.
  const server = createServer({
    headersTimeout: 0,
    requestTimeout: 0,
    requireHostHeader: false,
  });
  server.maxHeadersCount = 0;
  const connections = createConnections(server, {
    limits: config,
    log,
    answer(request, response) {
      answers.add(response);
      response.once('close', () => answers.delete(response));
      answer(serving, request, response);
    },
  });
  const front = createFront(connections);
  const access = createAccess(config);
  const noteRefused = createRefusedOrigins(log);
  const serving = { config, log, access, connections, front, noteRefused };
  server.on('request', connections.takeTurn);
  server.on('checkExpectation', connections.takeTurn);
  server.on('upgrade', (request, connection, head) =>
    upgrade(serving, request, { connection, head }),
  );

  return {
    async listen() {
      server.listen(config.port, config.host);
      await once(server, 'listening').catch((error: unknown) => {
        throw explainListening(error, config);
      });
      if (config.auth === 'none' && !isLoopback(config.host)) {
        log.warn({ host: config.host }, 'AUTH=none: every client of this port may do everything');
      }
      return urlOf(server.address() as AddressInfo);
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const answer of answers)
        if (isStream(answer.getHeader('content-type'))) answer.destroy();
      await front.closeSockets();
      const answered = Promise.allSettled([...answers].map((answer) => once(answer, 'close')));
      await Promise.race([answered, sleep(ANSWER_WITHIN_MS, undefined, { ref: false })]);
      // Idle connections, and connections without a request.
      connections.closeAll();
      await closed;
    },
  };
}

function answer(serving: Serving, request: IncomingMessage, response: ServerResponse): void {
  for (const [name, value] of Object.entries(COMMON_HEADERS)) response.setHeader(name, value);
  serve(serving, request, response).catch(async (error: unknown) => {
    if (error instanceof RefusedError) return refuseRequest(request, response, error);
    serving.log.debug({ err: error }, 'a client closed its connection during a request');
    return void response.destroy();
  });
}

async function serve(
  { config, access, connections, front, noteRefused }: Serving,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  checkHost(access, request);
  noteOrigin(request, { access, noteRefused });
  allowOrigin(access, request, response);
  checkCredentials(request);
  checkExpectation(request);
  if (request.method === 'OPTIONS') {
    response.writeHead(204).end();
    return;
  }
  if (pathOf(request) === '/') return welcome(front, request, response);
  const sendFile = isEmbedded(request) ? undefined : front.findFile?.(request);
  if (sendFile) return sendFile(request, response);
  checkSite(access, request);
  // Yoga takes the parsed body. It also accepts other content types, and pages may send those without a preflight.
  if (request.method === 'POST') checkContentType(request);
  const body = await readBody(request, { config, connections });
  if (request.method === 'POST') Object.assign(request, { body: parseBody(body) });
  gatherEvents(response);
  await front.answer(request, response);
}

/** The server executes a POST from a page of any origin, but the browser hides the answer or does not send the request. */
function noteOrigin(
  request: IncomingMessage,
  { access, noteRefused }: Pick<Serving, 'access' | 'noteRefused'>,
): void {
  const { origin } = request.headers;
  if (origin !== undefined && !access.allowsOrigin(request)) noteRefused(origin);
}

function upgrade(
  { log, access, connections, front, noteRefused }: Serving,
  request: IncomingMessage,
  { connection, head }: { connection: Duplex; head: Buffer },
): void {
  connection.on('error', (error) => log.debug({ err: error }, 'a connection broke'));
  if (!connections.upgrade(request.socket)) return void connection.destroy();
  try {
    checkHost(access, request);
    noteOrigin(request, { access, noteRefused });
    checkOrigin(access, request);
    checkCredentials(request);
    if (!isFor(front, request)) {
      throw new RefusedError(404, 'BAD_USER_INPUT', `WebSockets are served at ${front.path}.`);
    }
    front.acceptSocket(request, connection, head);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    refuseConnection(connection, error);
  }
}

/** The way from the root of the server: browsers go on to the page, and other clients get the paths. */
function welcome(front: Front, { headers }: IncomingMessage, response: ServerResponse): void {
  response.appendHeader('vary', 'accept');
  if (front.findFile && headers.accept?.includes('text/html')) {
    // Relative: a proxy may serve this server below another path.
    response.writeHead(302, { location: front.path.slice(1) }).end();
    return;
  }
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.end(JSON.stringify({ graphql: front.path, health: '/health', ready: '/ready' }));
}

function isFor({ path }: Front, request: IncomingMessage): boolean {
  return pathOf(request) === path;
}

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?')[0] ?? '';
}

/** An event consists of several writes, and so does the end of a stream. The server sends the writes of a turn together. */
function gatherEvents(response: ServerResponse): void {
  const write: ServerResponse['write'] = response.write.bind(response);
  response.write = ((...chunk: Parameters<typeof write>) => {
    if (response.socket && isStream(response.getHeader('content-type')))
      corkThisTurn(response.socket);
    return write(...chunk);
  }) as typeof write;
}

function urlOf({ address, port, family }: AddressInfo): string {
  if (address === '0.0.0.0' || address === '::') return `http://localhost:${port}`;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

function explainListening(error: unknown, { host, port }: Config): Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const problem =
    code === 'EADDRINUSE'
      ? `port ${port} is taken; PORT chooses another one`
      : error instanceof Error
        ? error.message
        : String(error);
  return new Error(`Cannot listen on ${host}: ${problem}.`, { cause: error });
}
