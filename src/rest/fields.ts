import { z } from 'zod';
import { isRecord } from '../json.ts';

// Fields of requests. Unknown fields of a request are accepted: the SDKs of several versions send some that have no meaning here.

/** A JSON object. Its keys are not read: it may have very many. */
export const jsonObject = z
  .custom<Record<string, unknown>>(isRecord, { error: 'must be an object' })
  .meta({ type: 'object' });

/** A UUID, or for assistants also the name of a graph. The domain checks it. */
export const id = z.string().min(1);

const LARGEST_LIMIT = 1000;
const DEFAULT_LIMIT = 10;

const limit = z.int().min(1).max(LARGEST_LIMIT);
const offset = z.int().min(0).max(1_000_000_000);

/** The part of a list, in a body. `limit` is 1 to 1,000; null is the same as none. */
export const paging = {
  limit: limit.nullish().transform((given) => given ?? DEFAULT_LIMIT),
  offset: offset.nullish().transform((given) => given ?? 0),
};

const digits = z.string().regex(/^\d{1,10}$/, { error: 'must be a whole number' });

/** The part of a list, in a query. */
export const queryPaging = {
  limit: digits.transform(Number).pipe(limit).default(DEFAULT_LIMIT),
  offset: digits.transform(Number).pipe(offset).default(0),
};

export const sortOrder = z.enum(['asc', 'desc']).nullish();

/** A boolean in a query: `true`, `false`, `1` or `0`. */
export const flag = z
  .enum(['true', 'false', '1', '0'])
  .transform((text) => ['true', '1'].includes(text));

/** A list in a query: a repeated key, or one value. */
export const repeated = z.union([z.array(z.string()), z.string().transform((one) => [one])]);

/** A field with a meaning that the server does not have: a request with it is refused, because ignoring it would change the result. */
export function unsupported(name: string) {
  return z
    .unknown()
    .optional()
    .refine((value) => value == null || (Array.isArray(value) && value.length === 0), {
      message: `${name} is not supported by this server`,
    });
}

/** The fields of an object that the client wants; all without `select`. */
export function selected(
  object: Record<string, unknown>,
  select: readonly string[] | null | undefined,
): Record<string, unknown> {
  if (!select) return object;
  return Object.fromEntries(Object.entries(object).filter(([key]) => select.includes(key)));
}
