import { createTurns } from '../turns.ts';

/** Number of values between two checks of the clock. */
const VALUES_PER_CHECK = 100;
/** A longer text is measured in pieces of this length. */
const PIECE = 16_384;

/** Whether JSON has more bytes as text than the limit. An object with several references counts at each reference. */
export async function isLarger(json: unknown, limit: number): Promise<boolean> {
  const turns = createTurns();
  const open: unknown[] = [json];
  let bytes = 0;
  for (let seen = 1; open.length > 0 && bytes <= limit; seen++) {
    if (seen % VALUES_PER_CHECK === 0 && turns.isOver()) await turns.next();
    const value = open.pop();
    if (typeof value === 'string') bytes += openText(value, open);
    else if (typeof value !== 'object' || value === null || hasToJson(value))
      bytes += sizeOf(value);
    else if (Array.isArray(value)) bytes += openList(value, open);
    else bytes += openObject(value, open);
  }
  return bytes > limit;
}

/** Adds the remainder of a long text to `open`; returns the bytes of the text before it. */
function openText(text: string, open: unknown[]): number {
  if (text.length <= PIECE) return sizeOfText(text);
  const cut = /[\ud800-\udbff]/.test(text.charAt(PIECE - 1)) ? PIECE - 1 : PIECE;
  open.push(text.slice(cut));
  return sizeOfText(text.slice(0, cut)) - QUOTES;
}

const QUOTES = 2;

/** Adds the items to `open`; returns the bytes of brackets and commas. */
function openList(list: readonly unknown[], open: unknown[]): number {
  for (const item of list) open.push(item);
  return Math.max(list.length + 1, 2);
}

function openObject(object: object, open: unknown[]): number {
  let bytes = 1;
  for (const [key, value] of Object.entries(object) as [string, unknown][]) {
    if (value === undefined) continue;
    bytes += sizeOfText(key) + 2;
    open.push(value);
  }
  return Math.max(bytes, 2);
}

function hasToJson(value: object): boolean {
  return 'toJSON' in value && typeof value.toJSON === 'function';
}

function sizeOf(value: unknown): number {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value).length;
  return Buffer.byteLength(JSON.stringify(value ?? null));
}

/** Matches a text with characters JSON may escape. */
const ESCAPED = /["\\\p{Cc}\p{Surrogate}]/u;

function sizeOfText(text: string): number {
  return ESCAPED.test(text)
    ? Buffer.byteLength(JSON.stringify(text))
    : Buffer.byteLength(text) + QUOTES;
}
