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

function createRemote(
  { connection, send }: Wire,
  {
    log,
    deliver,
    closing,
  }: { log: Logger; deliver: (channel: string, payload: string) => void; closing: AbortSignal },
): Remote {
  /** The prefix of each payload: a process ignores its own, already delivered. */
  const sender = randomBytes(6).toString('base64url');
  const outboxes = new Map<string, Set<string>>();
  let sending: Promise<void> | undefined;
  const channels = new Set<string>();
  let client: pg.Client | undefined;
  let listening: Promise<void> | undefined;
  let statements = Promise.resolve();

  /** Sends batches until the outboxes are empty. */
  async function sendAll(): Promise<void> {
    // The first batch includes all notifications of this turn of the event loop.
    await nextTurn();
    while (outboxes.size > 0) {
      const batches = Array.from(outboxes, ([channel, outbox]) => {
        const batch = `${sender} ${takeBatch(outbox)}`;
        if (outbox.size === 0) outboxes.delete(channel);
        return [channel, batch] as const;
      });
      const told = batches.map(([channel]) => channel);
      const payloads = batches.map(([, batch]) => batch);
      await send(told, payloads).catch((error: unknown) => {
        log.warn({ channels: told, reason: summarizeError(error).message }, 'hints were not sent');
      });
      await sleep(SEND_EVERY_MS, undefined, { signal: closing }).catch(() => {});
    }
    sending = undefined;
  }

  async function keepListening(): Promise<void> {
    let retryMs = SHORTEST_RETRY_MS;
    while (!closing.aborted) {
      try {
        await listenUntilLost(() => (retryMs = SHORTEST_RETRY_MS));
      } catch (error) {
        if (closing.aborted) break;
        log.warn(
          { reason: summarizeError(error).message, retryMs },
          'hints of others are not heard',
        );
      }
      await sleep(retryMs, undefined, { signal: closing }).catch(() => {});
      retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    }
  }

  /** Resolves on close, rejects if the connection breaks. */
  async function listenUntilLost(onReady: () => void): Promise<void> {
    const own = new pg.Client({ ...connection, keepAlive: true });
    const lost = new Promise<void>((resolve, reject) => {
      own.once('end', () =>
        closing.aborted ? resolve() : reject(new Error('The connection ended.')),
      );
      own.on('error', reject);
    });
    own.on('notification', receive);
    const end = (): void => void own.end().catch(() => {});
    closing.addEventListener('abort', end);
    try {
      await Promise.race([lost, listenAll(own)]);
      client = own;
      onReady();
      await lost;
    } finally {
      client = undefined;
      closing.removeEventListener('abort', end);
      end();
    }
  }

  async function listenAll(own: pg.Client): Promise<void> {
    await own.connect();
    await beginSession(own);
    // The iteration includes channels added during it.
    for (const channel of channels) await own.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
  }

  function receive({ channel, payload = '' }: pg.Notification): void {
    const space = payload.indexOf(' ');
    if (payload.slice(0, space) === sender) return;
    for (const each of payload.slice(space + 1).split(',')) deliver(channel, each);
  }

  return {
    send(channel, payload) {
      outboxes.set(channel, (outboxes.get(channel) ?? new Set()).add(payload));
      sending ??= sendAll();
    },
    subscribe(channel) {
      if (channels.has(channel) || closing.aborted) return;
      channels.add(channel);
      listening ??= keepListening();
      // If the client is lost, its successor listens to all channels.
      statements = statements
        .then(() => client?.query(`LISTEN ${pg.escapeIdentifier(channel)}`))
        .then(
          () => {},
          () => {},
        );
    },
    async closed() {
      await Promise.all([sending, listening]);
    },
  };
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
