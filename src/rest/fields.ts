import { z } from 'zod';

// Fields of requests. Unknown fields of a request are accepted: the SDKs of several versions send some that have no meaning here.

/** A boolean in a query: `true`, `false`, `1` or `0`. */
export const flag = z
  .enum(['true', 'false', '1', '0'])
  .transform((text) => ['true', '1'].includes(text));
