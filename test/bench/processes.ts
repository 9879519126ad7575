import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free-port.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const NODE_OPTIONS = ['--expose-gc', '--import', './test/bench/collect.js'];
const LOOK_MS = 5;
const COLLECT_MS = 1000;
const START_WITHIN_MS = 60_000;
/** Includes the time to write a profile. */
const END_WITHIN_MS = 20_000;
const OUTPUT_CHARACTERS = 4000;
/** The unit of processor time in Linux. */
const TICK_MS = 10;

/** A server in its own process. */
export interface ServerProcess extends AsyncDisposable {
  url: string;
  /** From its start to its first answer. */
  startedInMs: number;
  /** Resident memory. */
  rssMiB(): Promise<number>;
  /** Resident memory after a garbage collection. */
  heldMiB(): Promise<number>;
  /** The processor time of all its threads so far. */
  cpuMs(): Promise<number>;
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface ProcessOptions {
  /** The program for Node, relative to the repository, with options before it. */
  command: readonly string[];
  env: Record<string, string | undefined>;
  /** Checks whether the server answers. */
  probe: string;
  /** The folder for a processor profile. The server writes the profile when it ends. */
  profileDir?: string | undefined;
}

/** Starts a server on a free port. Resolves when the server answers. Throws its output if it does not answer. */
export async function startProcess(options: ProcessOptions): Promise<ServerProcess> {
  const { command, env, probe, profileDir } = options;
  const url = `http://127.0.0.1:${await freePort()}`;
  const began = performance.now();
  const profiling = profileDir ? ['--cpu-prof', `--cpu-prof-dir=${profileDir}`] : [];
  const child = spawn(process.execPath, [...NODE_OPTIONS, ...profiling, ...command], {
    cwd: ROOT,
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'production',
      PORT: new URL(url).port,
      ...env,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.on('data', (text) => {
    output = (output + text).slice(-OUTPUT_CHARACTERS);
  });
  const killOnExit = () => child.kill('SIGKILL');
  process.once('exit', killOnExit);
  const ended = once(child, 'close');

  async function end(signal: NodeJS.Signals): Promise<void> {
    process.off('exit', killOnExit);
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS);
    await ended;
    clearTimeout(late);
  }

  while (!(await answers(`${url}${probe}`))) {
    const isGone = child.exitCode !== null || child.signalCode !== null;
    if (isGone || performance.now() - began > START_WITHIN_MS) {
      await end('SIGKILL');
      throw new Error(`${command.at(-1)} did not start: ${output}`);
    }
    await sleep(LOOK_MS);
  }

  const startedInMs = performance.now() - began;

  async function rssMiB(): Promise<number> {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
  }

  return {
    url,
    startedInMs,
    rssMiB,
    async heldMiB() {
      // Twice: some objects are freed only after their finalizers.
      for (let times = 0; times < 2; times++) {
        child.kill('SIGUSR2');
        await sleep(COLLECT_MS);
      }
      return rssMiB();
    },
    async cpuMs() {
      const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
      // Read behind the name, because a name can contain any character: user and system time are fields 12 and 13.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
    },
    end,
    [Symbol.asyncDispose]: () => end('SIGTERM'),
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.body?.cancel();
    return response.status !== 503;
  } catch {
    return false;
  }
}
