import type { IncomingMessage } from 'node:http';
import type { Config } from '../config.ts';
import { collectBytes } from './bytes.ts';
import type { Connections } from './connections.ts';
import { RefusedError, tooSlow } from './refused.ts';

export function checkContentType({ headers }: IncomingMessage): void {
  const [type] = (headers['content-type'] ?? '').split(';');
  if (type?.trim().toLowerCase() === 'application/json') return;
  throw new RefusedError(415, 'BAD_USER_INPUT', 'The content-type must be application/json.');
}

export function parseBody(bytes: Buffer): object {
  const body = parseJson(bytes.toString());
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

type BodyLimits = Pick<Config, 'bodyLimitBytes' | 'bodySeconds'>;

/** Throws if the body is larger than the limit or takes too long. The server discards the unread part. */
export function readBody(
  request: IncomingMessage,
  { limits, connections }: { limits: BodyLimits; connections: Connections },
): Promise<Buffer> {
  const { bodyLimitBytes: limit, bodySeconds } = limits;
  return new Promise<Buffer>((resolve, reject) => {
    const refuse = (error: RefusedError): void => {
      stopWatching();
      reject(error);
    };
    const stopWatching = connections.watchBody(request, () =>
      refuse(tooSlow('body', 'BODY_SECONDS', bodySeconds)),
    );
    if (Number(request.headers['content-length'] ?? 0) > limit) return refuse(tooLarge(limit));
    const body = collectBytes();
    request.on('data', (chunk: Buffer) => {
      if (body.size + chunk.length > limit) refuse(tooLarge(limit));
      else body.add(chunk);
    });
    request.on('end', () => {
      stopWatching();
      resolve(body.bytes());
    });
    request.on('error', reject);
  });
}

function tooLarge(limit: number): RefusedError {
  return new RefusedError(413, 'PAYLOAD_TOO_LARGE', `The body is larger than ${limit} bytes.`);
}
