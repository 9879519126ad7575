import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIPv4, type Socket } from 'node:net';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import { refuseConnection, tooSlow, type RefusedError } from './refused.ts';

/** One connection of a client. */
export interface Connection {
  socket: Socket;
  /** The client's address; with IPv6, its network. */
  network: string;
  /** REFUSED: the client gets a refusal, and then the server closes the connection. */
  state: 'HTTP' | 'WEBSOCKET' | 'REFUSED';
  /** Requests without an answer, oldest first. The server works on the first. */
  requests: { request: IncomingMessage; response: ServerResponse }[];
  /** The client sent invalid HTTP; the requests before it are answered first. */
  failure?: RefusedError | undefined;
  /** The second in which `expire` is called, unless the client acts before. */
  deadline?: { at: number; expire: () => void } | undefined;
  /** All requests are answered, and the next has not begun. */
  resting: boolean;
  /** `bytesRead` when the last whole request or message had been read. */
  readBefore: number;
  /** Bytes of messages in the memory of the WebSocket. */
  kept: () => number;
  /** Bytes taken by the client, and the second since it takes no more. */
  taken: number;
  takenAt: number;
}

export type Limits = Pick<
  Config,
  | 'connectionLimit'
  | 'addressConnections'
  | 'addressBufferBytes'
  | 'headerSeconds'
  | 'bodySeconds'
  | 'writeSeconds'
  | 'keepAliveSeconds'
>;

/** The connections of a server, and the state that their limits need. */
export interface ConnectionTable {
  readonly limits: Limits;
  readonly log: Logger;
  /** Works on the first request of a connection. */
  readonly answer: (request: IncomingMessage, response: ServerResponse) => void;
  readonly connections: Map<Socket, Connection>;
  /** The number of connections from each network. */
  readonly networks: Map<string, number>;
  /** Seconds since the start, counted by passes over all connections. */
  second: number;
  /** Requests behind the first of their connection, over all connections. */
  waiting: number;
  /** The second of the last warning. */
  warnedAt: number;
}

export const WARN_EVERY_SECONDS = 60;

/** Logs that a limit closes connections, at most once a minute. */
export function warn(table: ConnectionTable, variable: string, address?: string): void {
  if (table.second - table.warnedAt < WARN_EVERY_SECONDS) return;
  table.warnedAt = table.second;
  table.log.warn({ address, variable }, 'connections were closed: a limit is reached');
}

export function refuse(connection: Connection, error: RefusedError): void {
  Object.assign(connection, { state: 'REFUSED', deadline: undefined, failure: undefined });
  refuseConnection(connection.socket, error);
}

/** Sets the deadline of a connection. */
export function expectWithin(
  { second }: ConnectionTable,
  connection: Connection,
  { seconds, expire }: { seconds: number; expire: () => void },
): void {
  // The current second has begun before, and the server still reads the bytes of the last second.
  connection.deadline = { at: second + seconds + 2, expire };
}

/** From now on, the client has HEADER_SECONDS for the head of a request. */
export function expectHead(table: ConnectionTable, connection: Connection): void {
  const seconds = table.limits.headerSeconds;
  connection.resting = false;
  expectWithin(table, connection, {
    seconds,
    expire: () => refuse(connection, tooSlow('head', 'HEADER_SECONDS', seconds)),
  });
}

/** Unread bytes, and the bytes of unfinished requests and messages. */
export function bytesHeld({ socket, resting, readBefore, kept }: Connection): number {
  const unfinished = resting ? 0 : Math.max(socket.bytesRead - readBefore, 0);
  return socket.writableLength + unfinished + kept();
}

/** A client with IPv6 can choose among all addresses of a network of 64 bits. */
export function networkOf(address: string): string {
  const v4 = address.replace(/^::ffff:/, '');
  if (isIPv4(v4)) return v4;
  const [first = [], last] = address.split('::').map((part) => part.split(':').filter(Boolean));
  const missing = 8 - first.length - (last?.length ?? 0);
  return [...first, ...Array<string>(missing).fill('0'), ...(last ?? [])].slice(0, 4).join(':');
}
