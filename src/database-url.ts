import { resolve } from 'node:path';

const FILES = ['sslcert', 'sslkey', 'sslrootcert'];
const SSL = ['ssl', 'sslmode', 'sslnegotiation', ...FILES];

/**
 * Adds the present values of PGUSER and related variables to the URL, and makes paths of files absolute. The driver would
 * look them up at each connect, when the project has set its own variables and the working directory is the project's.
 */
export function completeDatabaseUrl(text: string, env: NodeJS.ProcessEnv): string {
  const host = env['PGHOST'] || 'localhost';
  // The driver accepts `postgres://user@/database`, without a host. URL does not.
  const whole = URL.canParse(text) ? text : text.replace('@/', `@${encodeURIComponent(host)}/`);
  if (!URL.canParse(whole)) return text;
  const url = new URL(whole);
  const { searchParams: params } = url;
  const add = (name: string, part: string, value: string | undefined) => {
    if (!part && !params.has(name) && value) params.set(name, value);
  };
  const user = env['PGUSER'] || env['USER'];
  add('user', url.username, user);
  add('password', url.password, env['PGPASSWORD']);
  add('host', url.hostname, host);
  add('port', url.port, env['PGPORT'] || '5432');
  add('options', '', env['PGOPTIONS']);
  if (url.pathname.length <= 1) {
    url.pathname = encodeURI(env['PGDATABASE'] || decodeURIComponent(url.username) || user || '');
  }
  for (const name of FILES) {
    const file = params.get(name);
    if (file) params.set(name, resolve(file));
  }
  if (!SSL.some((name) => params.has(name))) params.set(...sslOf(env['PGSSLMODE']));
  return url.href;
}

/** The URL parameter for a value of PGSSLMODE. */
function sslOf(mode = 'disable'): [name: string, value: string] {
  const isPlain = mode === 'disable' || mode === 'no-verify';
  return isPlain ? ['sslmode', mode] : ['ssl', 'true'];
}
