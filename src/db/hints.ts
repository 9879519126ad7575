import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { summarizeError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Sql } from './open.ts';

/** The hints that a process gives and gets. */
export interface Hints extends Pick<Sql, 'notify' | 'notifyOthers' | 'notifyHere' | 'listen'> {
  /** Sends what still waits, and listens no more. */
  close(): Promise<void>;
}

/** How hints travel between processes. */
export interface Wire {
  /** Where to listen. */
  connection: pg.ClientConfig;
  /** Sends a payload on each channel. */
  send: (channels: string[], payloads: string[]) => Promise<unknown>;
}

/** Twenty statements a second: NOTIFY takes a lock over every commit of the cluster. */
const SEND_EVERY_MS = 50;
/** PostgreSQL takes less than 8,000. */
const LARGEST_PAYLOAD_BYTES = 7000;
const SHORTEST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5000;

/** Hints within this process, at once; with a `wire`, to and from the other processes too. */
export function createHints(log: Logger, wire?: Wire): Hints {
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

  const notifyHere: Hints['notifyHere'] = (channel, payload) => {
    queueMicrotask(() => deliver(channel, payload));
  };
  const notifyOthers: Hints['notifyOthers'] = (channel, payload) => remote?.send(channel, payload);

  return {
    notify(channel, payload) {
      notifyHere(channel, payload);
      notifyOthers(channel, payload);
    },
    notifyHere,
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
  /** Resolves when all is sent and the connection is gone. */
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
  /** Begins every payload, so that a process knows its own and does not hear them twice. */
  const sender = randomBytes(6).toString('base64url');
  const outboxes = new Map<string, Set<string>>();
  let sending: Promise<void> | undefined;
  const channels = new Set<string>();
  let client: pg.Client | undefined;
  let listening: Promise<void> | undefined;
  let statements = Promise.resolve();

  /** Sends what gathers in the outboxes until they are empty. */
  async function sendAll(): Promise<void> {
    // Let what is told in this turn of the event loop come along.
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

  /** Resolves when it was closed, rejects when the connection broke. */
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
    // Visits channels that are added meanwhile, too.
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
      // A client that is lost meanwhile is followed by one that listens to all.
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

/** Takes as many payloads as one statement may carry, joined by commas. */
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
