import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { pathnameOf } from './access.ts';
import { namedAsset, sendAsset, type Asset } from './assets.ts';
import { describeRefusal, RefusedError } from './refused.ts';
import type { Front, SendFile } from './server.ts';

/** Path of the studio. Each path below it is a screen; the page shows the one of its URL. */
const STUDIO_PATH = '/studio';
const ASSETS_PATH = `${STUDIO_PATH}/assets/`;

/** The files that `npm run generate` has built. */
const BUILT = path.join(import.meta.dirname, '../generated/studio');

interface Files {
  page: string;
  assets: Map<string, Asset>;
}

/** The web page for threads and runs. It uses the GraphQL API, as any client can. */
export function createStudioFront(): Front {
  let loading: Promise<Files> | undefined;
  const load = () => (loading ??= loadFiles());

  const sendPage: SendFile = async (request, response) => {
    sendHtml((await load()).page, request, response);
  };
  const sendFile: SendFile = async (request, response) => {
    const asset = (await load()).assets.get(pathnameOf(request).slice(ASSETS_PATH.length));
    if (!asset) throw new RefusedError(404, 'NOT_FOUND', 'There is no such file.');
    await sendAsset(asset, request, response);
  };

  return {
    links: { studio: STUDIO_PATH },
    page: STUDIO_PATH,
    serves: (asked) => asked === STUDIO_PATH || asked.startsWith(`${STUDIO_PATH}/`),
    rules: {
      methods: 'GET',
      exposedHeaders: '',
      openPaths: [],
      anyContentType: false,
      bodyLimitBytes: 1024,
    },
    describeRefusal,
    findFile(request) {
      if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
      return pathnameOf(request).startsWith(ASSETS_PATH) ? sendFile : sendPage;
    },
    answer(request) {
      throw new RefusedError(
        405,
        'BAD_USER_INPUT',
        `${STUDIO_PATH} is a page: it accepts GET, not ${request.method}. The API is at /graphql.`,
      );
    },
  };
}

async function loadFiles(): Promise<Files> {
  const page = await readFile(path.join(BUILT, 'index.html'), 'utf8').catch(() => {
    throw new RefusedError(
      503,
      'SERVICE_UNAVAILABLE',
      'The studio is not built. Run "npm run generate" and start the server again.',
    );
  });
  const folder = path.join(BUILT, 'assets');
  const names = await readdir(folder);
  const assets = await Promise.all(
    names.map(async (name) => namedAsset(name, await readFile(path.join(folder, name)))),
  );
  return { page, assets: new Map(assets.map((asset) => [asset.name, asset])) };
}

/** Sends the page. Its links to files are relative: a proxy may serve this server below another path. */
function sendHtml(page: string, request: IncomingMessage, response: ServerResponse): void {
  const nonce = randomBytes(16).toString('base64');
  const html = page
    .replaceAll('"./', `"${wayToStudio(pathnameOf(request))}`)
    .replaceAll('{nonce}', nonce);
  response.setHeader('cache-control', 'private, no-store');
  response.setHeader(
    'content-security-policy',
    contentSecurityPolicy(request.headers.host ?? '', nonce),
  );
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(html);
}

/** The relative URL of the folder of the studio, as seen from this path: `studio/`, `./` or `../` for each level. */
function wayToStudio(asked: string): string {
  const levels = asked.split('/').length - 3;
  if (levels < 0) return `${STUDIO_PATH.slice(1)}/`;
  return '../'.repeat(levels) || './';
}

/** Restricts the page to this server. The nonce is for the styles of the code editor. */
function contentSecurityPolicy(host: string, nonce: string): string {
  return [
    `default-src 'none'`,
    `script-src 'self'`,
    `style-src 'self' 'nonce-${nonce}'`,
    `img-src 'self' data: blob:`,
    `connect-src 'self' ws://${host} wss://${host}`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
  ].join('; ');
}
