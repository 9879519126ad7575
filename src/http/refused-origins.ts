import type { Logger } from '../log.ts';

/** Pages may invent origins. After this number of different origins, the log says no more. */
const MOST_ORIGINS = 100;

/** Logs refused origins, each once: the operator sees what is missing in CORS_ORIGINS. */
export function createRefusedOrigins(log: Pick<Logger, 'warn'>): (origin: string) => void {
  const logged = new Set<string>();
  return (origin) => {
    if (logged.has(origin) || logged.size >= MOST_ORIGINS) return;
    logged.add(origin);
    const message =
      origin === 'null'
        ? 'refused a page without an origin, such as a file or a sandboxed frame; CORS_ORIGINS cannot allow it'
        : 'refused a page of another origin; if it is yours, add the origin to CORS_ORIGINS';
    log.warn({ origin: origin.slice(0, 200) }, message);
  };
}
