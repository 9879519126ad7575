import { checkJson } from '../check-json.ts';
import { RefusedError } from '../http/refused.ts';

/** The most keys of all objects in a body. The time of JSON.parse grows faster than the number of keys. */
const MOST_KEYS = 100_000;
/** The most values: elements of lists and values of keys. */
const MOST_VALUES = 1_000_000;

/** The JSON of a body of any content type; an empty body is an empty object. */
export function readBody(bytes: Buffer): unknown {
  const content = withoutByteOrderMark(bytes);
  if (content.length === 0) return {};
  checkCounts(content);
  let body: unknown;
  try {
    body = JSON.parse(content.toString());
  } catch {
    throw new RefusedError(400, 'BAD_USER_INPUT', 'The body is not valid JSON.');
  }
  checkJson(body, 'body');
  // The checks of the fields would leave such a key out.
  if (content.includes('"__proto__":')) {
    throw new RefusedError(
      422,
      'BAD_USER_INPUT',
      'The body has a key "__proto__": no object may have it.',
    );
  }
  return body ?? {};
}

const BYTE_ORDER_MARK = Buffer.from('\uFEFF');

function withoutByteOrderMark(bytes: Buffer): Buffer {
  const { length } = BYTE_ORDER_MARK;
  return bytes.subarray(0, length).equals(BYTE_ORDER_MARK) ? bytes.subarray(length) : bytes;
}

const [QUOTE, BACKSLASH, COLON, COMMA] = Buffer.from('"\\:,');

/** Refuses a body with too many keys or values before it is parsed. */
function checkCounts(bytes: Buffer): void {
  let keys = 0;
  let commas = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) i = endOfText(bytes, i);
    else if (byte === COLON) keys++;
    else if (byte === COMMA) commas++;
  }
  if (keys > MOST_KEYS) throw tooMany('keys', MOST_KEYS);
  if (commas >= MOST_VALUES) throw tooMany('values', MOST_VALUES);
}

/** The position of the quote at the end of a text. */
function endOfText(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf('"', start + 1); end >= 0; end = bytes.indexOf('"', end + 1)) {
    let first = end;
    while (bytes[first - 1] === BACKSLASH) first--;
    if ((end - first) % 2 === 0) return end;
  }
  return bytes.length;
}

function tooMany(what: string, most: number): RefusedError {
  return new RefusedError(
    413,
    'PAYLOAD_TOO_LARGE',
    `The body has more than ${most.toLocaleString('en')} ${what}.`,
  );
}
