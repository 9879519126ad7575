import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { corkThisTurn } from './cork.ts';
import type { Logger } from '../log.ts';
import { createAccess, isLoopback, pathnameOf, pathOf, type Access } from './access.ts';
import { checkContentType, readBody } from './body.ts';
import {
  allowOrigin,
  checkCredentials,
  checkExpectation,
  checkHost,
  checkOrigin,
  checkSite,
  isEmbedded,
  type FrontRules,
} from './checks.ts';
import { createConnections, type Connections } from './connections.ts';
import { createRefusedOrigins } from './refused-origins.ts';
import { COMMON_HEADERS, refuseConnection, RefusedError, refuseRequest } from './refused.ts';
import { isStream } from './streams.ts';

/** The APIs on the network: each front answers at its own paths. */
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

/** An API over HTTP and SSE. */
export interface Front {
  /** Its paths for the answer at the root of the server, by name. */
  links: Readonly<Record<string, string>>;
  /** Whether it answers at this path, such as /graphql. */
  serves(path: string): boolean;
  /** The requests that it accepts, and the headers for pages of other origins. */
  rules: FrontRules;
  /** Answers a request after the checks of its host, origin and body size. `body` has the bytes of a request that may have a body. */
  answer(request: IncomingMessage, response: ServerResponse, body: Buffer): unknown;
  /** The body of an answer to a refused request, as JSON. */
  describeRefusal(error: RefusedError): object;
  /** Finds the page that a browser asks for at this path, and the files of the page below it. Absent: no page. */
  findFile?: ((request: IncomingMessage) => SendFile | undefined) | undefined;
  /** The path of its page. The root of the server leads a browser to the first one. */
  page?: string | undefined;
}

/** A front that also accepts WebSockets. */
export interface SocketFront extends Front {
  path: string;
  /** Takes over a connection for a WebSocket. */
  acceptSocket(request: IncomingMessage, connection: Duplex, head: Buffer): void;
  /** Asks the clients of all WebSockets to connect again later, and closes the WebSockets. */
  closeSockets(): Promise<void>;
}

/** The fronts of the server. The first front for a path answers, and the main one without another. */
export interface Fronts {
  main: SocketFront;
  others: readonly Front[];
}

const ANSWER_WITHIN_MS = 5000;

/** Parts of the server that each request needs. */
interface Serving {
  config: Config;
  log: Logger;
  access: Access;
  connections: Connections;
  fronts: Fronts;
  /** Logs an origin that the server refuses. */
  noteRefused: (origin: string) => void;
}

export function createHttpServer(
  { config, log }: { config: Config; log: Logger },
  createFronts: (connections: Connections) => Fronts,
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
  const fronts = createFronts(connections);
  const access = createAccess(config);
  const noteRefused = createRefusedOrigins(log);
  const serving = { config, log, access, connections, fronts, noteRefused };
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
      await fronts.main.closeSockets();
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
  const front = frontOf(serving.fronts, request);
  serve(serving, front, { request, response }).catch(async (error: unknown) => {
    if (error instanceof RefusedError) {
      return refuseRequest(request, response, { error, body: front.describeRefusal(error) });
    }
    serving.log.debug({ err: error }, 'a client closed its connection during a request');
    return void response.destroy();
  });
}

/** The front of the path. A target that is no path is refused later. */
function frontOf({ main, others }: Fronts, request: IncomingMessage): Front {
  const path = pathOf(request)?.split('?')[0] ?? '';
  return [main, ...others].find((front) => front.serves(path)) ?? main;
}

async function serve(
  { config, access, connections, fronts, noteRefused }: Serving,
  front: Front,
  { request, response }: { request: IncomingMessage; response: ServerResponse },
): Promise<void> {
  checkHost(access, request);
  noteOrigin(request, { access, noteRefused });
  allowOrigin({ access, rules: front.rules }, request, response);
  checkCredentials(request);
  checkExpectation(request);
  if (request.method === 'OPTIONS') {
    response.writeHead(204).end();
    return;
  }
  if (pathnameOf(request) === '/') return welcome(fronts, request, response);
  const sendFile = isEmbedded(request) ? undefined : front.findFile?.(request);
  if (sendFile) return sendFile(request, response);
  checkSite({ access, rules: front.rules }, request);
  const { bodyLimitBytes, anyContentType } = front.rules;
  if (anyContentType) {
    // Pages of any origin may send text without a preflight.
    checkOrigin(access, request);
  } else if (request.method === 'POST') checkContentType(request);
  const limits = { bodyLimitBytes, bodySeconds: config.bodySeconds };
  const body = await readBody(request, { limits, connections });
  gatherEvents(response);
  await front.answer(request, response, body);
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
  { log, access, connections, fronts: { main }, noteRefused }: Serving,
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
    if (pathnameOf(request) !== main.path) {
      throw new RefusedError(404, 'BAD_USER_INPUT', `WebSockets are served at ${main.path}.`);
    }
    main.acceptSocket(request, connection, head);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    refuseConnection(connection, error);
  }
}

/** The way from the root of the server: browsers go on to a page, and other clients get the paths. */
function welcome(
  { main, others }: Fronts,
  { headers }: IncomingMessage,
  response: ServerResponse,
): void {
  const page = [...others, main].find((front) => front.page)?.page;
  response.appendHeader('vary', 'accept');
  if (page && headers.accept?.includes('text/html')) {
    // Relative: a proxy may serve this server below another path.
    response.writeHead(302, { location: page.slice(1) }).end();
    return;
  }
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.end(JSON.stringify(Object.assign({}, ...[main, ...others].map(({ links }) => links))));
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
