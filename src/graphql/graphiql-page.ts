import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import type { App } from '../app.ts';
import { pathnameOf } from '../http/access.ts';
import { sendAsset, type Asset } from '../http/assets.ts';
import { RefusedError } from '../http/refused.ts';
import type { SendFile } from '../http/server.ts';
import { loadAssets, type GraphiqlAssets } from './graphiql-assets.ts';
import { graphiqlTabs } from './graphiql-examples.ts';

/** Finds the page at `endpoint`, for browsers, and the files below it. */
export function createGraphiqlPage({ graphs }: Pick<App, 'graphs'>, endpoint: string) {
  const folder = `${endpoint}/graphiql/`;
  let loading: Promise<GraphiqlAssets> | undefined;
  const load = () => (loading ??= loadAssets());

  const sendPage: SendFile = async (request, response) => {
    // Relative to the page, which a proxy may serve below another path.
    const urlOf = ({ name }: Asset) => `${path.basename(endpoint)}/graphiql/${name}`;
    sendHtml(renderPage(await load(), { urlOf, tabs: graphiqlTabs(graphs) }), request, response);
  };

  const sendFile: SendFile = async (request, response) => {
    const name = pathnameOf(request).slice(folder.length);
    const asset = Object.values(await load()).find((each) => each.name === name);
    if (!asset) throw new RefusedError(404, 'NOT_FOUND', 'There is no such file.');
    await sendAsset(asset, request, response);
  };

  return (request: IncomingMessage): SendFile | undefined => {
    if (request.method !== 'GET') return undefined;
    if (pathnameOf(request).startsWith(folder)) return sendFile;
    return pathnameOf(request) === endpoint && wantsPage(request) ? sendPage : undefined;
  };
}

function wantsPage({ headers }: IncomingMessage): boolean {
  return !!headers.accept?.includes('text/html');
}

interface PageParts {
  urlOf: (asset: Asset) => string;
  tabs: { query: string }[];
}

function renderPage(assets: GraphiqlAssets, { urlOf, tabs }: PageParts): string {
  const settings = {
    title: 'threadql',
    icon: urlOf(assets.icon),
    tabs,
    workers: {
      editorWorkerService: urlOf(assets.editorWorker),
      graphql: urlOf(assets.graphqlWorker),
      json: urlOf(assets.jsonWorker),
    },
  };
  const styles = [assets.graphiqlStyle, assets.pageStyle].map(
    (style) => `<link rel="stylesheet" href="${urlOf(style)}">`,
  );
  const scripts = [assets.graphqlWs, assets.graphiql, assets.page].map(
    (script) => `<script defer src="${urlOf(script)}"></script>`,
  );
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${settings.title}</title>
    <link rel="icon" href="${settings.icon}">
    ${styles.join('\n    ')}
    <script type="application/json" id="settings">${JSON.stringify(settings).replaceAll('<', '\\u003c')}</script>
    ${scripts.join('\n    ')}
  </head>
  <body class="no-focus-outline">
    <noscript>This page needs JavaScript. The API at this address does not.</noscript>
    <div id="root"></div>
  </body>
</html>
`;
}

function sendHtml(html: string, request: IncomingMessage, response: ServerResponse): void {
  const etag = `"${createHash('sha256').update(html).digest('base64url')}"`;
  response.setHeader('etag', etag);
  response.setHeader('cache-control', 'private, no-cache');
  response.setHeader('content-security-policy', contentSecurityPolicy(request.headers.host ?? ''));
  response.appendHeader('vary', 'accept');
  if (request.headers['if-none-match'] === etag) return void response.writeHead(304).end();
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(html);
}

/** Restricts the page to this server, and forbids scripts in the page and frames around it. */
function contentSecurityPolicy(host: string): string {
  return [
    `default-src 'self' data: blob:`,
    `script-src 'self'`,
    `style-src 'self' 'unsafe-inline'`,
    `connect-src 'self' ws://${host} wss://${host}`,
    `frame-ancestors 'none'`,
  ].join('; ');
}
