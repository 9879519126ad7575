import { isRecord } from '../json.ts';
import type { PlainMessage } from './plain.ts';

export type MessageType = 'HUMAN' | 'AI' | 'SYSTEM' | 'TOOL' | 'OTHER';

const TYPES: Record<string, MessageType> = {
  human: 'HUMAN',
  user: 'HUMAN',
  HumanMessageChunk: 'HUMAN',
  ai: 'AI',
  assistant: 'AI',
  AIMessageChunk: 'AI',
  system: 'SYSTEM',
  tool: 'TOOL',
};

/** The messages in a state's values, oldest first: what stands under `messages`, or is the whole state. */
export function messagesIn(values: unknown): PlainMessage[] {
  const messages = isRecord(values) ? values['messages'] : values;
  if (!Array.isArray(messages)) return [];
  return messages.filter((each): each is PlainMessage => isRecord(each) && 'content' in each);
}

export function messageType({ type }: Pick<PlainMessage, 'type'>): MessageType {
  return TYPES[type] ?? 'OTHER';
}

/** The text of a message, its blocks joined; what is not text is left out. */
export function messageText({ content }: Pick<PlainMessage, 'content'>): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((block) => (typeof block === 'string' ? block : textOf(block))).join('');
}

function textOf(block: unknown): string {
  return isRecord(block) && typeof block['text'] === 'string' ? block['text'] : '';
}
