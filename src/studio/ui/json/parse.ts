export type Parsed = { value: unknown; error?: undefined } | { value?: undefined; error: string };

/** Parses JSON. An empty text is `empty`. */
export function parseJson(text: string, empty?: unknown): Parsed {
  if (text.trim() === '') return { value: empty };
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: `This is not JSON: ${(error as Error).message}.` };
  }
}

/** Parses a JSON object. */
export function parseObject(
  text: string,
):
  | { value: Record<string, unknown> | undefined; error?: undefined }
  | { value?: undefined; error: string } {
  const { value, error } = parseJson(text);
  if (error !== undefined) return { error };
  const isObject =
    value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value));
  if (!isObject) return { error: 'This must be a JSON object, such as {"key": "value"}.' };
  return { value: value as Record<string, unknown> | undefined };
}

export function showJson(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? '';
}
