import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { summarizeError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Sql } from './query.ts';
import { beginSession } from './session.ts';

/** The notifications of a process. */
export interface Notifications extends Pick<Sql, 'notify' | 'notifyOthers' | 'listen'> {
  /** Sends the waiting notifications and stops listening. */
  close(): Promise<void>;
}

/** The transport of notifications between processes. */
export interface Wire {
  /** The connection for LISTEN. */
  connection: pg.ClientConfig;
  /** Sends a payload on each channel. */
  send: (channels: string[], payloads: string[]) => Promise<unknown>;
}

/** At most 20 statements a second: NOTIFY locks all commits of the cluster. */
const SEND_EVERY_MS = 50;
/** The limit of PostgreSQL is 8,000. */
const LARGEST_PAYLOAD_BYTES = 7000;
const SHORTEST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5000;

/** Creates notifications within this process; with a `wire`, also to and from the other processes. */
export function createNotifications(log: Logger, wire?: Wire): Notifications {
  const listeners = new Map<string, Set<(payload: string) => void>>();
  const closing = new AbortController();
  const remote = wire && createRemote(wire, { log, deliver, closing: closing.signal });

  function deliver(channel: string, payload: string): void {
    for (const listener of listeners.get(channel) ?? []) {
      try {
        listener(payload);
      } catch (error) {
        log.error({ err: error, channel }, 'a listener failed');
      }
    }
  }

  const notifyOthers: Notifications['notifyOthers'] = (channel, payload) =>
    remote?.send(channel, payload);

  return {
    notify(channel, payload) {
      queueMicrotask(() => deliver(channel, payload));
      notifyOthers(channel, payload);
    },
    notifyOthers,
    listen(channel, onPayload) {
      const listener = (payload: string): void => onPayload(payload);
      listeners.set(channel, (listeners.get(channel) ?? new Set()).add(listener));
      remote?.subscribe(channel);
      return () => listeners.get(channel)?.delete(listener);
    },
    async close() {
      closing.abort();
      await remote?.closed();
    },
  };
}

interface Remote {
  send(channel: string, payload: string): void;
  subscribe(channel: string): void;
  /** Resolves when everything is sent and the connection is closed. */
  closed(): Promise<void>;
}

interface RemoteOptions {
  log: Logger;
  deliver: (channel: string, payload: string) => void;
  closing: AbortSignal;
}

function createRemote(wire: Wire, options: RemoteOptions): Remote {
  /** The prefix of each payload: a process ignores its own, already delivered. */
  const sender = randomBytes(6).toString('base64url');
  const outbox = createOutbox(wire, sender, options);
  const listener = createListener(wire, sender, options);
  return {
    send: outbox.send,
    subscribe: listener.subscribe,
    async closed() {
      await Promise.all([outbox.sent(), listener.closed()]);
    },
  };
}

/** Sends the notifications of a short time together. */
function createOutbox(
  { send }: Wire,
  sender: string,
  { log, closing }: RemoteOptions,
): { send: Remote['send']; sent: () => Promise<void> } {
  const payloadsOf = new Map<string, Set<string>>();
  let sending: Promise<void> | undefined;

  /** Sends batches until no payload is left. */
  async function sendAll(): Promise<void> {
    // The first batch includes all notifications of this turn of the event loop.
    await nextTurn();
    while (payloadsOf.size > 0) {
      const batches = Array.from(payloadsOf, ([channel, payloads]) => {
        const batch = `${sender} ${takeBatch(payloads)}`;
        if (payloads.size === 0) payloadsOf.delete(channel);
        return [channel, batch] as const;
      });
      const channels = batches.map(([channel]) => channel);
      const texts = batches.map(([, batch]) => batch);
      await send(channels, texts).catch((error: unknown) => {
        log.warn(
          { channels, reason: summarizeError(error).message },
          'notifications were not sent',
        );
      });
      await sleep(SEND_EVERY_MS, undefined, { signal: closing }).catch(() => {});
    }
    sending = undefined;
  }

  return {
    send(channel, payload) {
      payloadsOf.set(channel, (payloadsOf.get(channel) ?? new Set()).add(payload));
      sending ??= sendAll();
    },
    async sent() {
      await sending;
    },
  };
}

/** Listens on a connection of its own, and replaces a broken one. */
function createListener(
  { connection }: Wire,
  sender: string,
  { log, deliver, closing }: RemoteOptions,
): { subscribe: Remote['subscribe']; closed: () => Promise<void> } {
  const channels = new Set<string>();
  let client: pg.Client | undefined;
  let listening: Promise<void> | undefined;
  let statements = Promise.resolve();

  async function keepListening(): Promise<void> {
    let retryMs = SHORTEST_RETRY_MS;
    while (!closing.aborted) {
      try {
        await listenOnce(() => (retryMs = SHORTEST_RETRY_MS));
      } catch (error) {
        if (closing.aborted) break;
        const { message: reason } = summarizeError(error);
        log.warn({ reason, retryMs }, 'notifications of other processes do not arrive');
      }
      await sleep(retryMs, undefined, { signal: closing }).catch(() => {});
      retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    }
  }

  async function listenOnce(onReady: () => void): Promise<void> {
    const own = new pg.Client({ ...connection, keepAlive: true });
    own.on('notification', receive);
    const onListening = (): void => {
      client = own;
      onReady();
    };
    await listenUntilLost(own, { channels, closing, onListening }).finally(() => {
      client = undefined;
    });
  }

  function receive({ channel, payload = '' }: pg.Notification): void {
    const space = payload.indexOf(' ');
    if (payload.slice(0, space) === sender) return;
    for (const each of payload.slice(space + 1).split(',')) deliver(channel, each);
  }

  return {
    subscribe(channel) {
      if (channels.has(channel) || closing.aborted) return;
      channels.add(channel);
      listening ??= keepListening();
      // If the client is lost, its successor listens to all channels.
      statements = statements.then(() => client && listen(client, channel)).catch(() => {});
    },
    async closed() {
      await listening;
    },
  };
}

interface Listening {
  channels: ReadonlySet<string>;
  closing: AbortSignal;
  onListening: () => void;
}

/** Connects and listens. Resolves when `closing` has closed the connection, rejects if the connection breaks. */
async function listenUntilLost(client: pg.Client, options: Listening): Promise<void> {
  const { channels, closing, onListening } = options;
  const lost = new Promise<void>((resolve, reject) => {
    client.once('end', () =>
      closing.aborted ? resolve() : reject(new Error('The connection ended.')),
    );
    client.on('error', reject);
  });
  const end = (): void => void client.end().catch(() => {});
  closing.addEventListener('abort', end);
  try {
    await Promise.race([lost, listenAll(client, channels)]);
    onListening();
    await lost;
  } finally {
    closing.removeEventListener('abort', end);
    end();
  }
}

/** The iteration includes channels added during it. */
async function listenAll(client: pg.Client, channels: ReadonlySet<string>): Promise<void> {
  await client.connect();
  await beginSession(client);
  for (const channel of channels) await listen(client, channel);
}

async function listen(client: pg.Client, channel: string): Promise<void> {
  await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
}

/** Takes payloads up to the limit of one notification, joined by commas. */
function takeBatch(outbox: Set<string>): string {
  let batch = '';
  for (const payload of outbox) {
    const longer = batch === '' ? payload : `${batch},${payload}`;
    if (batch !== '' && Buffer.byteLength(longer) > LARGEST_PAYLOAD_BYTES) break;
    batch = longer;
    outbox.delete(payload);
  }
  return batch;
}
