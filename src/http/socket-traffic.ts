import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { corkThisTurn } from './cork.ts';
import type { Connections } from './connections.ts';

/** Memory for the messages of a WebSocket. */
export interface Usage {
  /** Bytes of the current message. */
  messageBytes: number;
  /** Bytes of connection_init; it stays with the connection. */
  initBytes: number;
  /** Bytes of the messages of unfinished operations, by payload. */
  operations: Map<object, number>;
}

const TRY_LATER = 1013;

/** About the size of a write. */
const GATHERED_BYTES = 65_536;
/** With more unread bytes, the server does not read from the client until the client has read all of them. */
const READ_AHEAD_BYTES = 1024 * 1024;
/** The head of a frame of a client with a payload of up to 125 bytes. */
const FRAME_HEAD_BYTES = 6;

const PULSE_MS = 12_000;
/** The number of rounds without bytes from the client after which the server closes its WebSocket. */
const MOST_SILENT = 3;

/** Holds the traffic of a WebSocket to its limits. */
export function limitTraffic(
  socket: WebSocket,
  connection: Socket,
  { connections, unreadBytes }: { connections: Connections; unreadBytes: number },
): Usage {
  const usage: Usage = {
    messageBytes: 0,
    initBytes: 0,
    operations: new Map(),
  };
  // This listener comes before the listener of graphql-ws.
  socket.on('message', (data: Buffer) => {
    usage.messageBytes = data.length;
    connections.noteRead(connection);
  });
  for (const kind of ['ping', 'pong'] as const) {
    socket.on(kind, ({ length }) => connections.noteRead(connection, FRAME_HEAD_BYTES + length));
  }
  connections.noteKept(connection, () => bytesKept(usage));
  limitSending(socket, connection, unreadBytes);
  limitClosing(socket, connection);
  return usage;
}

function bytesKept({ initBytes, operations }: Usage): number {
  return Array.from(operations.values()).reduce((sum, bytes) => sum + bytes, initBytes);
}

/**
 * Sends messages of a turn of the event loop together, and closes the WebSocket of a client with too many unread bytes.
 * graphql-ws waits for `done` before it makes the next message: while little is unsent, it need not wait.
 */
function limitSending(socket: WebSocket, connection: Socket, unreadBytes: number): void {
  const send: Send = socket.send.bind(socket);
  const gather: Send = (data, done) => {
    if (socket.bufferedAmount > unreadBytes) socket.close(TRY_LATER, 'Reads too slowly');
    if (socket.readyState !== socket.OPEN || connection.destroyed) return done?.();
    corkThisTurn(connection);
    const waits = socket.bufferedAmount + data.length > GATHERED_BYTES;
    // The WebSocket itself reports errors; graphql-ws would write each of them to the console.
    send(data, () => waits && done?.());
    if (!waits) done?.();
    if (connection.writableLength > READ_AHEAD_BYTES) readWhenDrained(socket, connection);
  };
  socket.send = gather as WebSocket['send'];
}

type Send = (data: string, done?: () => void) => void;

/** After its close frame, the server executes no message, and reads on only after the client has read the close frame. */
function limitClosing(socket: WebSocket, connection: Socket): void {
  const close = socket.close.bind(socket);
  socket.close = (code, reason) => {
    close(code, reason);
    socket.removeAllListeners('message');
    if (connection.writableNeedDrain) readWhenDrained(socket, connection);
  };
}

function readWhenDrained(socket: WebSocket, connection: Socket): void {
  if (socket.isPaused) return;
  socket.pause();
  connection.once('drain', () => socket.resume());
}

/** Sends pings to silent clients: proxies keep the WebSockets open, and the server detects lost clients. */
export function startPulse(sockets: ReadonlyMap<WebSocket, Socket>): { stop(): void } {
  const heard = new WeakMap<WebSocket, { bytes: number; silent: number }>();

  function feel(socket: WebSocket, { bytesRead: bytes }: Socket): void {
    const before = heard.get(socket);
    // The server does not read from a client with many unread bytes.
    const isSilent = before?.bytes === bytes && !socket.isPaused;
    const silent = isSilent ? before.silent + 1 : 0;
    heard.set(socket, { bytes, silent });
    if (silent >= MOST_SILENT) socket.terminate();
    else if (silent > 0 && socket.readyState === socket.OPEN) socket.ping();
  }

  const beating = setInterval(() => {
    for (const [socket, connection] of sockets) feel(socket, connection);
  }, PULSE_MS).unref();
  return { stop: () => clearInterval(beating) };
}
