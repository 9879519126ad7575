import type { Socket } from 'node:net';
import {
  bytesHeld,
  expectHead,
  warn,
  type Connection,
  type ConnectionTable,
} from './connection.ts';

/** The connections of a network that hold bytes in memory, with the sum. */
interface Held {
  bytes: number;
  connections: Connection[];
}

/** Checks the limits of all connections. Called once a second. */
export function pass(table: ConnectionTable): void {
  table.second += 1;
  const held = new Map<string, Held>();
  for (const connection of table.connections.values()) {
    checkTime(table, connection);
    addHeld(held, connection);
  }
  const limit = table.limits.addressBufferBytes;
  for (const [network, { bytes, connections }] of held) {
    if (bytes <= limit) continue;
    warn(table, 'ADDRESS_BUFFER_BYTES', network);
    cutLargest(connections, bytes - limit);
  }
}

function checkTime(table: ConnectionTable, connection: Connection): void {
  const { socket, resting, readBefore, deadline } = connection;
  if (isStalled(table, connection)) socket.destroy();
  else if (resting && socket.bytesRead !== readBefore) expectHead(table, connection);
  else if (deadline && table.second >= deadline.at) {
    connection.deadline = undefined;
    deadline.expire();
  }
}

/** Whether bytes wait for the client and it has taken none of them for too long. */
function isStalled({ second, limits }: ConnectionTable, connection: Connection): boolean {
  const isEmpty = connection.socket.writableLength === 0;
  const taken = isEmpty ? 0 : bytesTaken(connection.socket);
  if (isEmpty || taken !== connection.taken) {
    Object.assign(connection, { taken, takenAt: second });
  }
  return second - connection.takenAt > limits.writeSeconds;
}

/** Bytes taken by the kernel. Node's public counters only know whole writes, and an answer can be a single write. */
function bytesTaken(socket: Socket): number {
  const { _handle: handle } = socket as Socket & {
    _handle?: { bytesWritten?: number; writeQueueSize?: number } | null;
  };
  if (handle?.bytesWritten === undefined) return socket.bytesWritten - socket.writableLength;
  return handle.bytesWritten - (handle.writeQueueSize ?? 0);
}

function addHeld(held: Map<string, Held>, connection: Connection): void {
  const bytes = bytesHeld(connection);
  if (bytes === 0) return;
  const ofNetwork = held.get(connection.network) ?? { bytes: 0, connections: [] };
  ofNetwork.bytes += bytes;
  ofNetwork.connections.push(connection);
  held.set(connection.network, ofNetwork);
}

/** Closes connections, largest first, until so many bytes are free. */
function cutLargest(connections: readonly Connection[], bytes: number): void {
  let excess = bytes;
  for (const connection of connections.toSorted((a, b) => bytesHeld(b) - bytesHeld(a))) {
    if (excess <= 0) return;
    excess -= bytesHeld(connection);
    connection.socket.destroy();
  }
}
