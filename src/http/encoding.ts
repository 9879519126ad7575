import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

export type Encoding = 'br' | 'gzip';

/** The encodings of the server. Of equally welcome encodings, a client gets the first. */
const ENCODINGS = ['br', 'gzip'] as const;

/** Higher values cost many times the time, for a few percent of the size. */
const BROTLI_QUALITY = 4;

/** The encoding for a client with this Accept-Encoding header. Undefined: none. */
export function encodingFor(accepted: string | null | undefined): Encoding | undefined {
  if (!accepted) return undefined;
  const weights = new Map(accepted.toLowerCase().split(',').map(weightOf));
  const weigh = (name: Encoding) => weights.get(name) ?? weights.get('*') ?? 0;
  const [br, gzip] = ENCODINGS.map(weigh) as [number, number];
  if (Math.max(br, gzip) === 0) return undefined;
  return br >= gzip ? 'br' : 'gzip';
}

/** `gzip;q=0.5` is `gzip` with the weight 0.5. */
function weightOf(entry: string): [string, number] {
  const [name = '', ...parameters] = entry.split(';').map((part) => part.trim());
  const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
  return [name, weight === undefined ? 1 : Number(weight) || 0];
}

/** Compresses in a thread of zlib, beside the event loop. */
export async function compress(
  bytes: string | Buffer,
  encoding: Encoding,
): Promise<Buffer<ArrayBuffer>> {
  if (encoding === 'gzip') return promisify(gzip)(bytes);
  const params = { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY };
  return promisify(brotliCompress)(bytes, { params });
}
