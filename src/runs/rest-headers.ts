import type { Viewer } from '../auth/viewer.ts';

/** Headers of proxies, and of single requests: a repeated request would be a different one. */
const OF_THE_WAY =
  /^x-(forwarded|real-ip|client-ip|request-id|correlation-id|amzn|amz|envoy|b3|cloud-trace|datadog|vercel|tenant-id)/;

/** Names of credentials. */
const SECRET = /auth|key|token|secret|passw|credential|cookie|session|signature|jwt|assertion|cert/;

/**
 * The `x-` headers of a request as keys of `configurable`, where graphs of LangGraph's servers find them. Leaves out credentials: a
 * configuration is stored and shown. The code of a project may read credentials from any header; then all are left out.
 */
export function headersForGraph(
  headers: Headers,
  { kind }: Pick<Viewer, 'kind'>,
): Record<string, string> {
  if (kind === 'custom') return {};
  const own = [...headers].filter(
    ([name]) => name.startsWith('x-') && !OF_THE_WAY.test(name) && !SECRET.test(name),
  );
  return Object.fromEntries(own);
}
