import { createHash } from 'node:crypto';
import path from 'node:path';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { compress, encodingFor, type Encoding } from './encoding.ts';

/** A file of a page. Its name has a hash of its content, so a browser asks for it once. */
export interface Asset {
  name: string;
  type: string;
  content: string | Buffer;
  /** The content in an encoding. The server compresses it once. */
  encoded(encoding: Encoding): Promise<Buffer>;
}

const YEAR_SECONDS = 365 * 86_400;

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/** An asset with this name, which must have a hash of the content. */
export function namedAsset(name: string, content: string | Buffer): Asset {
  const encoded = new Map<Encoding, Promise<Buffer>>();
  return {
    name,
    type: TYPES[path.extname(name)] ?? 'application/octet-stream',
    content,
    encoded(encoding) {
      const bytes = encoded.get(encoding) ?? compress(content, encoding);
      encoded.set(encoding, bytes);
      return bytes;
    },
  };
}

/** An asset whose name gets a hash of its content. */
export function hashedAsset(file: string, content: string | Buffer): Asset {
  const hash = createHash('sha256').update(content).digest('base64url').slice(0, 16);
  const { name, ext } = path.parse(file);
  return namedAsset(`${name}.${hash}${ext}`, content);
}

/** Sends an asset. Browsers keep it for a year. */
export async function sendAsset(
  asset: Asset,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const encoding = encodingFor(request.headers['accept-encoding']);
  response.setHeader('etag', `"${asset.name}${encoding ?? ''}"`);
  response.setHeader('cache-control', `public, max-age=${YEAR_SECONDS}, immutable`);
  if (request.headers['if-none-match'] === response.getHeader('etag')) {
    return void response.writeHead(304).end();
  }
  const bytes = encoding ? await asset.encoded(encoding) : asset.content;
  if (encoding) response.setHeader('content-encoding', encoding);
  response.setHeader('content-type', asset.type);
  response.setHeader('content-length', Buffer.byteLength(bytes));
  response.end(bytes);
}
