import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free-port.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const LOOK_MS = 50;
/** The maximum length of the kept output of a process. */
const OUTPUT_CHARACTERS = 20_000;

/** A server process for kills and restarts. */
export interface ChaosServer extends AsyncDisposable {
  name: string;
  url: string;
  /** Whether the API is ready. */
  isUp: boolean;
  pid(): number | undefined;
  /** Starts the process, and tries again if it fails to become ready. Resolves when the API is ready. */
  start(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Sends the signal. Returns the exit status, or the signal of the end. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>;
  /** The last output of all its processes. */
  output(): string;
}

export interface ChaosServerOptions {
  name: string;
  env: Record<string, string>;
  /** Called when a process ends without a fault. */
  onDeath(reason: string): void;
}

export async function createChaosServer({
  name,
  env,
  onDeath,
}: ChaosServerOptions): Promise<ChaosServer> {
  // All its processes use the same port: clients reconnect to it.
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  let output = '';
  let ending = false;
  const disposed = new AbortController();

  function spawnOnce(): ChildProcess {
    const spawned = spawn(process.execPath, ['src/start.js'], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], PORT: String(port), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [spawned.stdout, spawned.stderr]) {
      stream?.on('data', (text) => {
        output = (output + text).slice(-OUTPUT_CHARACTERS);
      });
    }
    return spawned;
  }

  async function answers(): Promise<boolean> {
    const response = await fetch(`${url}/ready`).catch(() => undefined);
    await response?.body?.cancel();
    return response?.ok ?? false;
  }

  // Also after a failure.
  const killOnExit = () => child?.kill('SIGKILL');
  process.once('exit', killOnExit);

  const server: ChaosServer = {
    name,
    url,
    isUp: false,
    pid: () => child?.pid,
    output: () => output,
    async start() {
      while (!disposed.signal.aborted) {
        ending = false;
        const started = spawnOnce();
        child = started;
        started.once('exit', (status, signal) => {
          const isSurprise = server.isUp && !ending;
          if (child === started) server.isUp = false;
          if (!isSurprise) return;
          onDeath(`${name} ended by itself with ${status ?? signal}: ${output.slice(-2000)}`);
          void server.start();
        });
        while (started.exitCode === null && started.signalCode === null) {
          if (await answers()) {
            server.isUp = true;
            return;
          }
          await sleep(LOOK_MS);
        }
      }
    },
    signal(signal) {
      child?.kill(signal);
    },
    async end(signal) {
      ending = true;
      server.isUp = false;
      if (!child || child.exitCode !== null || child.signalCode !== null) return 0;
      const exited = once(child, 'exit');
      child.kill(signal);
      const [status, by] = await exited;
      return status ?? by;
    },
    async [Symbol.asyncDispose]() {
      disposed.abort();
      await server.end('SIGKILL');
      process.off('exit', killOnExit);
    },
  };
  return server;
}
