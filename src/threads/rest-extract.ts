import { z } from 'zod';
import { isRecord } from '../json.ts';

const MOST_PATHS = 10;

const PATH = /^(values|metadata|config|interrupts)(\.[^.[\]]+|\[-?\d+\])*$/;

/** The paths of `extract`, by the name of their result. */
export const extract = z
  .record(
    z.string(),
    z.string().regex(PATH, {
      error:
        'must be a path in values, metadata, config or interrupts, such as values.messages[-1]',
    }),
  )
  .refine((paths) => Object.keys(paths).length <= MOST_PATHS, {
    error: `has at most ${MOST_PATHS} paths`,
  });

/** The field of a thread where the path begins. */
export function fieldOf(path: string): string {
  return /^\w+/.exec(path)?.[0] ?? path;
}

/** The value at a path such as `values.messages[-1].content`; null if there is none. */
export function valueAt(thread: Record<string, unknown>, path: string): unknown {
  let value: unknown = thread;
  for (const [, index, key] of path.matchAll(/\[(-?\d+)\]|([^.[\]]+)/g)) {
    if (key !== undefined)
      value = isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
    else value = Array.isArray(value) ? value.at(Number(index)) : undefined;
  }
  return value ?? null;
}
