import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { Config } from '../config.ts';

/** The rules for hosts and web pages. Without them, any web page could control a server on the machine of its reader. */
export interface Access {
  /**
   * Whether the Host header names this server: HOST, localhost, a loopback address, the local address of the connection or a
   * name in ALLOWED_HOSTS, on any port. This stops DNS rebinding: the header then has the name of the attacker's page.
   */
  allowsHost(request: IncomingMessage): boolean;
  /** Whether the request comes from a page of this server, from a page of CORS_ORIGINS, or not from a page. */
  allowsOrigin(request: IncomingMessage): boolean;
  /**
   * Whether the server may execute the query of a GET. Any page can make a browser send a GET, with an image, a link or a
   * form. Browsers send the site of the page in Sec-Fetch-Site, except to http addresses of other machines: there, a
   * browser needs a Referer of an allowed page, or a header with a preflight.
   */
  allowsQuery(request: IncomingMessage): boolean;
}

export function createAccess({
  host,
  allowedHosts,
  corsOrigins,
}: Pick<Config, 'host' | 'allowedHosts' | 'corsOrigins'>): Access {
  const names = new Set(
    [host, 'localhost', ...allowedHosts].map((name) => hostnameOf(name) ?? name),
  );
  const origins = new Set(corsOrigins.map((origin) => originOf(origin)?.origin));

  function isOurs(page: URL | undefined, host = ''): boolean {
    if (!page) return false;
    return origins.has(page.origin) || page.host === urlOf(page.protocol, host)?.host;
  }

  /** The last Host header with its parsed name: most requests have the same header. */
  let last = { host: '', name: hostnameOf('') };

  return {
    allowsHost({ headers: { host = '' }, socket }) {
      if (host !== last.host) last = { host, name: hostnameOf(host) };
      const { name } = last;
      return name !== undefined && (names.has(name) || isLoopback(name) || isLocal(name, socket));
    },
    allowsOrigin({ headers }) {
      return headers.origin === undefined || isOurs(originOf(headers.origin), headers.host);
    },
    allowsQuery({ headers }) {
      const { origin, referer, host, 'sec-fetch-site': site } = headers;
      if (site === 'same-origin' || site === 'none') return true;
      if (origin !== undefined) return isOurs(originOf(origin), host);
      if (site !== undefined) return false;
      if (referer !== undefined) return isOurs(pageOf(referer), host);
      return !isBrowser(headers) || headers['content-type']?.trim() === 'application/json';
    },
  };
}

/** The number of headers with this name. Of several, proxies and servers choose differently. */
export function countHeaders({ rawHeaders }: IncomingMessage, header: string): number {
  return rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === header).length;
}

/** The path and query of the target. Undefined unless the target is a path, or a URL with the host of the Host header. */
export function pathOf({ url = '', method, headers }: IncomingMessage): string | undefined {
  if (url.startsWith('/') || (url === '*' && method === 'OPTIONS')) return url;
  const target = /^https?:/i.test(url) && URL.canParse(url) ? new URL(url) : undefined;
  if (!target || target.host !== urlOf(target.protocol, headers.host ?? '')?.host) return undefined;
  return target.pathname + target.search;
}

/** The path of a request after the check of its target. */
export function pathnameOf({ url = '' }: IncomingMessage): string {
  return url.split('?')[0] ?? '';
}

/** All browsers call themselves Mozilla, and pages cannot change the header without a preflight. */
function isBrowser(headers: IncomingMessage['headers']): boolean {
  return headers['user-agent']?.includes('Mozilla/') ?? false;
}

/** Whether a server with this name or address accepts connections from this machine only. */
export function isLoopback(name: string): boolean {
  const family = isIP(name);
  return (
    name === 'localhost' || (family !== 0 && LOOPBACK.check(name, family === 4 ? 'ipv4' : 'ipv6'))
  );
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

function isLocal(name: string, { localAddress }: IncomingMessage['socket']): boolean {
  return name === localAddress?.replace(/^::ffff:/, '');
}

/** The name in `name`, `name:port`, `address` or `[address]:port`. Undefined for any other text. */
function hostnameOf(host: string): string | undefined {
  const bare = isIP(host) === 6 ? `[${host}]` : host;
  return urlOf('http:', bare)?.hostname.replace(/^\[|\]$/g, '');
}

/** Undefined for "null", the origin of a sandboxed page. */
function originOf(origin: string): URL | undefined {
  const [, protocol, host] = /^(https?:)\/\/(.+?)\/?$/i.exec(origin) ?? [];
  return protocol && host ? urlOf(protocol, host) : undefined;
}

/** The origin of the page in a Referer. */
function pageOf(referer: string): URL | undefined {
  return URL.canParse(referer) ? originOf(new URL(referer).origin) : undefined;
}

function urlOf(protocol: string, host: string): URL | undefined {
  if (!/^[^/\\?#@\s]+$/.test(host)) return undefined;
  const url = `${protocol}//${host}`;
  return URL.canParse(url) ? new URL(url) : undefined;
}
