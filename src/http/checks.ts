import type { IncomingMessage, ServerResponse } from 'node:http';
import { countHeaders, pathOf, type Access } from './access.ts';
import { RefusedError } from './refused.ts';

/** Which requests a front accepts. */
export interface FrontRules {
  /** The methods of pages of allowed origins, such as `GET, POST`. */
  methods: string;
  /** The headers of answers that such pages may read. */
  exposedHeaders: string;
  /** Paths that every page may get: they show nothing of a viewer. */
  openPaths: readonly string[];
  /** True: a body of any content type is read as JSON, and a page of another origin is refused. False: only application/json. */
  anyContentType: boolean;
  bodyLimitBytes: number;
}

export function checkHost(access: Access, request: IncomingMessage): void {
  if (countHeaders(request, 'host') !== 1) {
    throw new RefusedError(400, 'BAD_USER_INPUT', 'A request needs one Host header.');
  }
  const path = pathOf(request);
  if (path === undefined) {
    const message =
      'The target of a request must be a path, or a URL of the host in the Host header.';
    throw new RefusedError(400, 'BAD_USER_INPUT', message);
  }
  request.url = path;
  if (access.allowsHost(request)) return;
  const host = request.headers.host ?? '';
  throw new RefusedError(
    403,
    'FORBIDDEN',
    `This server does not go by "${host}"; see ALLOWED_HOSTS.`,
  );
}

/** The headers with credentials. */
export const CREDENTIALS: readonly string[] = ['authorization', 'x-api-key'];

/** Node.js keeps the first of two `authorization` headers, and a proxy may check the second. */
export function checkCredentials(request: IncomingMessage): void {
  const twice = CREDENTIALS.find((name) => countHeaders(request, name) > 1);
  if (twice === undefined) return;
  throw new RefusedError(401, 'UNAUTHENTICATED', `A request has at most one header ${twice}.`);
}

export function checkExpectation({ headers: { expect } }: IncomingMessage): void {
  if (expect === undefined || expect.toLowerCase() === '100-continue') return;
  throw new RefusedError(
    417,
    'BAD_USER_INPUT',
    'The server knows no expectation but 100-continue.',
  );
}

/** Whether a page of another site loads the answer as a part of itself, such as an image. */
export function isEmbedded({ headers }: IncomingMessage): boolean {
  const isOther = ['cross-site', 'same-site'].includes(String(headers['sec-fetch-site']));
  return isOther && headers['sec-fetch-mode'] !== 'navigate';
}

/** Refuses a query if a page of another site made the browser send it. */
export function checkSite(
  { access, rules }: { access: Access; rules: FrontRules },
  request: IncomingMessage,
): void {
  if (request.method !== 'GET' && request.method !== 'HEAD') return;
  if (rules.openPaths.includes(request.url ?? '') || access.allowsQuery(request)) return;
  throw new RefusedError(
    403,
    'FORBIDDEN',
    'Pages of other sites may not send GET requests; see CORS_ORIGINS. Other clients add content-type: application/json.',
  );
}

export function checkOrigin(access: Access, request: IncomingMessage): void {
  if (access.allowsOrigin(request)) return;
  const { origin } = request.headers;
  throw new RefusedError(403, 'FORBIDDEN', `Pages of ${origin} may not connect; see CORS_ORIGINS.`);
}

/** CORS: without these headers, a browser hides answers from pages of other origins and does not send their JSON. */
export function allowOrigin(
  { access, rules }: { access: Access; rules: FrontRules },
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { origin, 'access-control-request-headers': headers } = request.headers;
  response.setHeader('vary', 'origin, access-control-request-headers, accept-encoding');
  if (origin === undefined || !access.allowsOrigin(request)) return;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', rules.exposedHeaders);
  if (request.method !== 'OPTIONS') return;
  response.setHeader('access-control-allow-methods', rules.methods);
  // Browsers ask before a page of the internet reaches a server in a private network.
  if (request.headers['access-control-request-private-network'] === 'true') {
    response.setHeader('access-control-allow-private-network', 'true');
  }
  response.setHeader('access-control-max-age', '600');
  if (headers !== undefined) response.setHeader('access-control-allow-headers', headers);
}
