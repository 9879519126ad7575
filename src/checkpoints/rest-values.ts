import { isRecord, setKey } from '../json.ts';

/** Fields of messages that only GraphQL shows if they are empty. */
const HIDDEN_IF_NULL = new Set(['name', 'usage_metadata', 'artifact', 'status']);

/** A value of `toPlain`, with its messages in the form of LangGraph's REST interface. */
export function wireValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(wireValue);
  if (!isRecord(value)) return value;
  const isMessage = isPlainMessage(value);
  const shown: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (isMessage && (key === 'example' || (inner === null && HIDDEN_IF_NULL.has(key)))) continue;
    setKey(shown, key, wireValue(inner));
  }
  return shown;
}

function isPlainMessage(value: Record<string, unknown>): boolean {
  return (
    'content' in value &&
    typeof value['type'] === 'string' &&
    isRecord(value['additional_kwargs']) &&
    isRecord(value['response_metadata'])
  );
}
