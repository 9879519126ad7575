import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { Config } from './config.ts';

/** Who may speak to this server. Without these rules, any web page could drive a server on its reader's machine. */
export interface Access {
  /**
   * Whether the request names a host that is ours: HOST, localhost, a loopback address, the address that it came in at,
   * or one of ALLOWED_HOSTS; on any port. (A page whose own name was pointed at us has that name in here.)
   */
  allowsHost(request: IncomingMessage): boolean;
  /** Whether it comes from no web page, from a page of ours, or from one of CORS_ORIGINS. */
  allowsOrigin(request: IncomingMessage): boolean;
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

  /** What most requests name is what the one before them named. */
  let last = { host: '', name: hostnameOf('') };

  return {
    allowsHost({ headers: { host = '' }, socket }) {
      if (host !== last.host) last = { host, name: hostnameOf(host) };
      const { name } = last;
      return name !== undefined && (names.has(name) || isLoopback(name) || isLocal(name, socket));
    },
    allowsOrigin({ headers }) {
      if (headers.origin === undefined) return true;
      const url = originOf(headers.origin);
      if (!url) return false;
      return origins.has(url.origin) || url.host === urlOf(url.protocol, headers.host ?? '')?.host;
    },
  };
}

/** Whether only this machine reaches a server that listens there. */
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

/** The name in `name`, `name:port`, `address` or `[address]:port`; undefined where it is nothing of that kind. */
function hostnameOf(host: string): string | undefined {
  const bare = isIP(host) === 6 ? `[${host}]` : host;
  return urlOf('http:', bare)?.hostname.replace(/^\[|\]$/g, '');
}

/** "null", which sandboxed pages send, is no origin. */
function originOf(origin: string): URL | undefined {
  const [, protocol, host] = /^(https?:)\/\/(.+?)\/?$/i.exec(origin) ?? [];
  return protocol && host ? urlOf(protocol, host) : undefined;
}

function urlOf(protocol: string, host: string): URL | undefined {
  if (!/^[^/\\?#@\s]+$/.test(host)) return undefined;
  const url = `${protocol}//${host}`;
  return URL.canParse(url) ? new URL(url) : undefined;
}
