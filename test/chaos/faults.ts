import { setTimeout as sleep } from 'node:timers/promises';
import type { ChaosDatabase } from './postgres.ts';
import type { Random } from './random.ts';
import type { ChaosServer } from './servers.ts';

export const LEASE_SECONDS = 2;

const LOOK_MS = 20;

/** The frequency of each kind of fault. */
const FAULTS = {
  'SIGKILL of a worker': 6,
  'SIGSTOP of a worker past its lease': 3,
  'SIGTERM of a worker': 2,
  'SIGKILL of the API process': 2,
  'end of all connections': 3,
  'restart of PostgreSQL': 3,
};

export type Fault = keyof typeof FAULTS;

export interface Target {
  database: ChaosDatabase;
  api: ChaosServer;
  workers: ChaosServer[];
  /** Called with unexpected observations. */
  onSurprise(what: string): void;
}

export interface Faults {
  /** Causes a fault. May resolve before the recovery. */
  next(): Promise<Fault>;
  /** Resolves after the recovery from all faults. */
  whenHealed(): Promise<void>;
}

export function createFaults(
  { database, api, workers, onSurprise }: Target,
  random: Random,
): Faults {
  const healing = new Set<Promise<void>>();
  const possible = database.restart ? FAULTS : { ...FAULTS, 'restart of PostgreSQL': 0 };

  function heal(work: Promise<void>): void {
    const healed = work
      .catch((error: unknown) => onSurprise(String(error)))
      .finally(() => healing.delete(healed));
    healing.add(healed);
  }

  /** A process with a ready API. A starting process is not a target. */
  async function pickUp(servers: ChaosServer[]): Promise<ChaosServer> {
    for (;;) {
      const up = servers.filter(({ isUp }) => isUp);
      if (up.length > 0) return random.pick(up);
      await sleep(LOOK_MS);
    }
  }

  const does: Record<Fault, () => Promise<void>> = {
    async 'SIGKILL of a worker'() {
      const worker = await pickUp(workers);
      await worker.end('SIGKILL');
      heal(worker.start());
    },
    async 'SIGSTOP of a worker past its lease'() {
      const worker = await pickUp(workers);
      worker.signal('SIGSTOP');
      await sleep(LEASE_SECONDS * 1000 + random.int(0, 1500));
      worker.signal('SIGCONT');
    },
    async 'SIGTERM of a worker'() {
      const worker = await pickUp(workers);
      heal(
        (async () => {
          const status = await worker.end('SIGTERM');
          if (status !== 0) onSurprise(`${worker.name} ended with ${status} on SIGTERM`);
          await worker.start();
        })(),
      );
    },
    async 'SIGKILL of the API process'() {
      await pickUp([api]);
      await api.end('SIGKILL');
      heal(api.start());
    },
    'end of all connections': () => database.terminateConnections(),
    'restart of PostgreSQL': async () => database.restart?.(),
  };

  return {
    async next() {
      const fault = random.weighted(possible);
      await does[fault]();
      await sleep(random.int(0, 500));
      return fault;
    },
    async whenHealed() {
      while (healing.size > 0) await Promise.all(healing);
    },
  };
}
