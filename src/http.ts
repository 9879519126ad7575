import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAccess, isLoopback, type Access } from './access.ts';
import type { App } from './app.ts';
import type { Config } from './config.ts';
import { corkThisTurn } from './cork.ts';
import type { ErrorCode } from './errors.ts';
import { createSockets } from './schema/websocket.ts';
import { createGraphql } from './schema/yoga.ts';

/** The API on the network: GraphQL over HTTP, SSE and WebSocket at /graphql, GraphiQL for browsers, /health, /ready. */
export interface HttpServer {
  /** Gives the URL that it can be reached at, such as http://127.0.0.1:4000. Throws when the port is taken. */
  listen(): Promise<string>;
  /**
   * Takes no more requests, cuts subscriptions off so that their clients come back, and gives the answers that are
   * under way five seconds. A request whose answer is cut off is still carried out.
   */
  close(): Promise<void>;
}

const PATH = '/graphql';
const ANSWER_WITHIN_MS = 5000;

/** How long the rest of a body that is too large is read, so that its sender gets to read why. */
const LINGER_MS = 2000;

export function createHttpServer(app: App): HttpServer {
  const { config, log } = app;
  const access = createAccess(config);
  const yoga = createGraphql(app);
  const sockets = createSockets(app, yoga);
  const answers = new Set<ServerResponse>();

  const server = createServer((request, response) => {
    answers.add(response);
    response.once('close', () => answers.delete(response));
    serve(request, response).catch(async (error: unknown) => {
      if (error instanceof RefusedError) return refuse(request, response, error);
      log.debug({ err: error }, 'a client went away while it spoke');
      return void response.destroy();
    });
  });
  server.on('upgrade', upgrade);

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    checkHost(access, request);
    allowOrigin(access, request, response);
    if (request.method === 'OPTIONS') {
      response.writeHead(204).end();
      return;
    }
    // Yoga takes a body that was parsed before it. It would take other types too, which pages may send without asking.
    if (request.method === 'POST') {
      Object.assign(request, { body: await readJson(request, config.bodyLimitBytes) });
    }
    gatherEvents(response);
    await yoga(request, response);
  }

  function upgrade(request: IncomingMessage, connection: Duplex, head: Buffer): void {
    connection.on('error', (error) => log.debug({ err: error }, 'a connection broke'));
    try {
      checkHost(access, request);
      checkOrigin(access, request);
      if (request.url?.split('?')[0] !== PATH) {
        throw new RefusedError(404, 'BAD_USER_INPUT', `WebSockets are served at ${PATH}.`);
      }
      sockets.accept(request, connection, head);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refuseUpgrade(connection, error);
    }
  }

  return {
    async listen() {
      server.listen(config.port, config.host);
      await once(server, 'listening').catch((error: unknown) => {
        throw explainListening(error, config);
      });
      if (!isLoopback(config.host)) {
        log.warn({ host: config.host }, 'no authentication: who reaches this port can use it');
      }
      return urlOf(server.address() as AddressInfo);
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const answer of answers) if (isEventStream(answer)) answer.destroy();
      await sockets.close();
      const answered = Promise.allSettled([...answers].map((answer) => once(answer, 'close')));
      await Promise.race([answered, sleep(ANSWER_WITHIN_MS, undefined, { ref: false })]);
      // Those that only wait for a next request, or have not sent one yet.
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A request that GraphQL never sees. */
class RefusedError extends Error {
  readonly status: number;
  readonly code: ErrorCode;

  constructor(status: number, code: ErrorCode, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function checkHost(access: Access, request: IncomingMessage): void {
  if (access.allowsHost(request)) return;
  const host = request.headers.host ?? '';
  throw new RefusedError(
    403,
    'FORBIDDEN',
    `This server does not go by "${host}"; see ALLOWED_HOSTS.`,
  );
}

function checkOrigin(access: Access, request: IncomingMessage): void {
  if (access.allowsOrigin(request)) return;
  const { origin } = request.headers;
  throw new RefusedError(403, 'FORBIDDEN', `Pages of ${origin} may not connect; see CORS_ORIGINS.`);
}

/** CORS: a browser keeps every answer from the pages of other origins, and does not send it their JSON. */
function allowOrigin(access: Access, request: IncomingMessage, response: ServerResponse): void {
  const { origin, 'access-control-request-headers': headers } = request.headers;
  response.setHeader('vary', 'origin, access-control-request-headers');
  if (origin === undefined || !access.allowsOrigin(request)) return;
  response.setHeader('access-control-allow-origin', origin);
  if (request.method !== 'OPTIONS') return;
  response.setHeader('access-control-allow-methods', 'GET, POST');
  response.setHeader('access-control-max-age', '600');
  if (headers !== undefined) response.setHeader('access-control-allow-headers', headers);
}

async function readJson(request: IncomingMessage, limitBytes: number): Promise<object> {
  const [type] = (request.headers['content-type'] ?? '').split(';');
  if (type?.trim().toLowerCase() !== 'application/json') {
    throw new RefusedError(415, 'BAD_USER_INPUT', 'The content-type must be application/json.');
  }
  const body = parseJson(await readBody(request, limitBytes));
  if (typeof body !== 'object' || body === null || Object.keys(body).length === 0) {
    throw new RefusedError(400, 'BAD_USER_INPUT', 'The body must be a JSON object with a query.');
  }
  return body;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RefusedError(400, 'BAD_USER_INPUT', 'The body is not valid JSON.');
  }
}

/** Throws when the body is larger than the limit, as soon as that is known; what comes after is thrown away. */
function readBody(request: IncomingMessage, limitBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const refuseAll = () =>
      reject(
        new RefusedError(413, 'PAYLOAD_TOO_LARGE', `The body is larger than ${limitBytes} bytes.`),
      );
    if (Number(request.headers['content-length'] ?? 0) > limitBytes) return refuseAll();
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) refuseAll();
      else chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks).toString()));
    request.on('error', reject);
  });
}

/** Answers at once. A client that is still sending is heard for a moment: cut off, it would never read the answer. */
async function refuse(request: IncomingMessage, response: ServerResponse, error: RefusedError) {
  const body = bodyOf(error);
  response.writeHead(error.status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...(!request.complete && { connection: 'close' }),
  });
  response.write(body);
  request.resume();
  if (!request.complete) {
    // It may also break off meanwhile.
    const sent = once(request, 'close').catch(() => {});
    await Promise.race([sent, sleep(LINGER_MS, undefined, { ref: false })]);
  }
  response.end();
}

function refuseUpgrade(connection: Duplex, error: RefusedError): void {
  const body = bodyOf(error);
  connection.end(
    `HTTP/1.1 ${error.status} Refused\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function bodyOf({ message, code }: RefusedError): string {
  return JSON.stringify({ errors: [{ message, extensions: { code } }] });
}

/** An event is several writes, and so is the end of a stream: what is there together is sent at once. */
function gatherEvents(response: ServerResponse): void {
  const write: ServerResponse['write'] = response.write.bind(response);
  response.write = ((...chunk: Parameters<typeof write>) => {
    if (response.socket && isEventStream(response)) corkThisTurn(response.socket);
    return write(...chunk);
  }) as typeof write;
}

function isEventStream(answer: ServerResponse): boolean {
  return !!answer.getHeader('content-type')?.toString().startsWith('text/event-stream');
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
