import type { BaseMessage } from '@langchain/core/messages';
import { DEEPEST_SHOWN, setKey, TOO_DEEP } from '../json.ts';

/** A message in LangChain's plain shape, as clients see it. */
export interface PlainMessage {
  content: unknown;
  additional_kwargs: Record<string, unknown>;
  response_metadata: Record<string, unknown>;
  type: string;
  name: string | null;
  id: string | null;
  [more: string]: unknown;
}

/**
 * A value as clients see it: messages in LangChain's plain shape, everything else as JSON. A Map becomes an object, a Set a list,
 * bytes base64, other typed arrays lists of numbers, an error its name and message. A text replaces levels beyond the deepest.
 */
export function toPlain(value: unknown): unknown {
  return plain(value, new Set());
}

function plain(value: unknown, above: Set<object>): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value === 'number' && !Number.isFinite(value)) return null;
  if (typeof value !== 'object' || value === null) return value;
  if (above.has(value)) return '[Circular]';
  if (above.size === DEEPEST_SHOWN) return TOO_DEEP;
  above.add(value);
  try {
    return plainObject(value, above);
  } finally {
    above.delete(value);
  }
}

function plainObject(value: object, above: Set<object>): unknown {
  if (isMessage(value)) return plainEntries(Object.entries(toPlainMessage(value)), above);
  if (Array.isArray(value)) return plainList(value, above);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array || value instanceof DataView) return base64(value);
  if (value instanceof ArrayBuffer) return base64(new Uint8Array(value));
  if (ArrayBuffer.isView(value)) return plainList(value as Float64Array, above);
  if (value instanceof Set) return plainList(value, above);
  if (value instanceof Map) return plainEntries(value, above);
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (value instanceof URLSearchParams) return String(value);
  if ('toJSON' in value && typeof value.toJSON === 'function') return plain(value.toJSON(), above);
  return plainEntries(Object.entries(value), above);
}

function plainList(list: Iterable<unknown>, above: Set<object>): unknown[] {
  return Array.from(list, (element) => plain(element, above) ?? null);
}

function base64({ buffer, byteOffset, byteLength }: ArrayBufferView): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

function plainEntries(entries: Iterable<[unknown, unknown]>, above: Set<object>) {
  const object: Record<string, unknown> = {};
  for (const [key, value] of entries) {
    const shown = plain(value, above);
    if (shown !== undefined) setKey(object, String(key), shown);
  }
  return object;
}

/** Checks the shape, not the class: a graph may bring its own copy of LangChain. A JSON value never has methods. */
export function isMessage(value: unknown): value is BaseMessage {
  return (
    typeof value === 'object' &&
    value !== null &&
    'lc_namespace' in value &&
    'content' in value &&
    (hasMethod(value, 'getType') || hasMethod(value, '_getType'))
  );
}

function hasMethod(value: object, name: string): boolean {
  return typeof Reflect.get(value, name) === 'function';
}

/** True if the message is a piece of a streamed message. */
export function isChunk(message: BaseMessage): boolean {
  return 'concat' in message && typeof message.concat === 'function';
}

function toPlainMessage(message: BaseMessage): PlainMessage {
  const type = message.getType?.() ?? message._getType();
  const fields = message as unknown as Record<string, unknown>;
  const shown: PlainMessage = {
    content: message.content,
    additional_kwargs: message.additional_kwargs ?? {},
    response_metadata: message.response_metadata ?? {},
    type,
    name: message.name ?? null,
    id: message.id ?? null,
  };
  if (type === 'human') return { ...shown, example: fields['example'] ?? false };
  if (type === 'ai') {
    return {
      ...shown,
      example: fields['example'] ?? false,
      tool_calls: fields['tool_calls'] ?? [],
      // LangChain keeps complete streamed messages as chunks. Without tool call chunks, they look like complete messages.
      ...(hasToolCallChunks(fields) && { tool_call_chunks: fields['tool_call_chunks'] }),
      invalid_tool_calls: fields['invalid_tool_calls'] ?? [],
      usage_metadata: fields['usage_metadata'] ?? null,
    };
  }
  if (type === 'tool') {
    return {
      ...shown,
      tool_call_id: fields['tool_call_id'] ?? null,
      status: fields['status'] ?? null,
      artifact: fields['artifact'] ?? null,
    };
  }
  if (type === 'remove') return { type, id: message.id ?? null } as PlainMessage;
  return shown;
}

function hasToolCallChunks({ tool_call_chunks: chunks }: Record<string, unknown>): boolean {
  return Array.isArray(chunks) && chunks.length > 0;
}
