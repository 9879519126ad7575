import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGunzip, gzip } from 'node:zlib';
import type { GraphiQLOptions } from 'graphql-yoga';
import type { App } from '../app.ts';
import { graphiqlTabs } from './graphiql-examples.ts';

/** Sends the page for browsers. The server makes and compresses it once; all answers share these bytes. */
export type SendPage = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

interface Page {
  compressed: Buffer;
  hash: string;
}

export function createGraphiqlPage(app: Pick<App, 'graphs'>): SendPage {
  const pages = new Map<boolean, Promise<Page>>();

  return async (request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://localhost');
    const hasQuery = searchParams.has('query');
    const making = pages.get(hasQuery) ?? makePage(graphiqlOptions(app, hasQuery));
    pages.set(hasQuery, making);
    await send(await making, request, response);
  };
}

function graphiqlOptions({ graphs }: Pick<App, 'graphs'>, hasQuery: boolean): GraphiQLOptions {
  const tabs = graphiqlTabs(graphs);
  const [first] = tabs;
  return {
    title: 'threadql',
    subscriptionsProtocol: 'WS',
    ...(first && { defaultTabs: tabs }),
    // Without these options, a reload opens an empty tab and drops the variables of the first tab.
    ...(!hasQuery && first),
  };
}

async function makePage(options: GraphiQLOptions): Promise<Page> {
  // Nine megabytes, loaded at the first request.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const compressed = await promisify(gzip)(renderGraphiQL(options));
  const hash = createHash('sha256').update(compressed).digest('base64url');
  return { compressed, hash };
}

async function send(
  { compressed, hash }: Page,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const takesGzip = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(
    request.headers['accept-encoding'] ?? '',
  );
  const etag = `"${hash}${takesGzip ? '-gzip' : ''}"`;
  response.setHeader('etag', etag);
  response.setHeader('cache-control', 'private, no-cache');
  response.setHeader('content-security-policy', contentSecurityPolicy(request.headers.host ?? ''));
  response.appendHeader('vary', 'accept, accept-encoding');
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304).end();
    return;
  }
  response.setHeader('content-type', 'text/html');
  if (takesGzip) {
    response.setHeader('content-encoding', 'gzip');
    response.setHeader('content-length', compressed.length);
    response.end(compressed);
    return;
  }
  await pipeline(Readable.from([compressed]), createGunzip(), response);
}

/** Restricts the page to this server, and forbids frames around it. */
function contentSecurityPolicy(host: string): string {
  return [
    `default-src 'self' 'unsafe-inline' data: blob:`,
    `connect-src 'self' ws://${host} wss://${host}`,
    `frame-ancestors 'none'`,
  ].join('; ');
}
