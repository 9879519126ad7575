import { isRecord, setKey } from '../json.ts';

/** Fields that LangChain leaves out of a message without them. The stored form has them, without a value. */
const EMPTY_FIELDS = ['name', 'usage_metadata', 'artifact', 'status', 'example'];

/**
 * A value as LangGraph's REST clients expect it: messages without empty fields. `value` is a result of `toPlain`. A message is
 * recognized by its fields.
 */
export function wireValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(wireValue);
  if (!isRecord(value)) return value;
  const isMessage = isPlainMessage(value);
  const shown: Record<string, unknown> = {};
  for (const [key, each] of Object.entries(value)) {
    if (isMessage && !each && EMPTY_FIELDS.includes(key)) continue;
    setKey(shown, key, wireValue(each));
  }
  return shown;
}

function isPlainMessage(value: Record<string, unknown>): boolean {
  return (
    typeof value['type'] === 'string' &&
    'content' in value &&
    isRecord(value['additional_kwargs']) &&
    isRecord(value['response_metadata'])
  );
}
