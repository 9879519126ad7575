import { z } from 'zod';

/** A sentence for all problems of a value: each with its place, such as `graphs.agent`, and the rule. */
export function describeZodError({ issues }: z.ZodError): string {
  const problems = issues.map(({ path, message }) => {
    const place = path.length > 0 ? `"${z.core.toDotPath(path)}"` : 'it';
    return `${place} ${message}`;
  });
  return `${problems.join('; ')}.`;
}
