import { BadInputError } from '../errors.ts';
import { isRecord } from '../json.ts';
import type { PlainMessage } from './plain.ts';

// A graph may keep any value under `messages`. A field of the wrong type reads as missing.

export type MessageType = 'HUMAN' | 'AI' | 'SYSTEM' | 'TOOL' | 'OTHER';

const TYPES: ReadonlyMap<unknown, MessageType> = new Map([
  ['human', 'HUMAN'],
  ['user', 'HUMAN'],
  ['HumanMessageChunk', 'HUMAN'],
  ['ai', 'AI'],
  ['assistant', 'AI'],
  ['AIMessageChunk', 'AI'],
  ['system', 'SYSTEM'],
  ['tool', 'TOOL'],
]);

/** The messages in the values of a state, oldest first: the value of `messages`, or the whole state if it is a list. */
export function messagesIn(values: unknown): PlainMessage[] {
  const messages = isRecord(values) ? values['messages'] : values;
  if (!Array.isArray(messages)) return [];
  return messages.filter((each): each is PlainMessage => isRecord(each) && 'content' in each);
}

/** A page of a list of messages. */
export interface MessagePage {
  count: number;
  /** The page ends before the last message with this id. Undefined: at the end of the list. */
  before?: string | undefined;
}

/** The messages of a page. Undefined if no message has the id `before`. */
export function pageOf(
  messages: readonly PlainMessage[],
  { count, before }: MessagePage,
): PlainMessage[] | undefined {
  const end =
    before === undefined
      ? messages.length
      : messages.findLastIndex(({ id }) => idOrNull(id) === before);
  return end < 0 ? undefined : messages.slice(Math.max(end - count, 0), end);
}

/** A list of messages has no message with the id `before`. */
export class MessageMissingError extends BadInputError {
  constructor(before: string) {
    super('before', `No message of this state has the messageId ${JSON.stringify(before)}.`);
  }
}

export function messageType({ type }: Pick<PlainMessage, 'type'>): MessageType {
  return TYPES.get(type) ?? 'OTHER';
}

/** The text of a message. Text blocks are joined; other blocks are left out. */
export function messageText({ content }: Pick<PlainMessage, 'content'>): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((block) => textOr('', isRecord(block) ? block['text'] : block)).join('');
}

/** The value if it is a text, otherwise `other`. */
export function textOr<Other>(other: Other, value: unknown): string | Other {
  return typeof value === 'string' ? value : other;
}

/** The value if GraphQL's ID accepts it: a text or a whole number. Otherwise null. */
export function idOrNull(value: unknown): string | null {
  return Number.isSafeInteger(value) ? String(value) : textOr(null, value);
}

const MOST_INT = 2 ** 31 - 1;

/** The value if it is a whole number in the range of GraphQL's Int, otherwise `other`. */
export function intOr<Other>(other: Other, value: unknown): number | Other {
  const isInt = Number.isInteger(value) && Math.abs(Number(value)) <= MOST_INT;
  return isInt ? Number(value) : other;
}

/** The objects in a list. Empty for any other value. */
export function recordsIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
