import { parseObject } from '../../ui/json/parse.ts';

/** Reads `key=value`, with several pairs after each other, or a JSON object. */
export function readMetadata(text: string): ReturnType<typeof parseObject> {
  if (text.trim() === '' || text.trim().startsWith('{')) return parseObject(text);
  const pairs = text.trim().split(/\s+/);
  const wrong = pairs.find((pair) => !/^[^=]+=/.test(pair));
  if (wrong !== undefined)
    return { error: `"${wrong}" is not key=value. JSON is also possible: {"key": 1}.` };
  const entries = pairs.map((pair): [string, string] => {
    const at = pair.indexOf('=');
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  return { value: Object.fromEntries(entries) };
}
