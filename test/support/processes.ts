import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Server } from '../../src/server.ts';
import { createClients, type TestApp } from './app.ts';
import type { TestDatabase } from './databases.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const GRAPHS_FILE = path.join(import.meta.dirname, 'langgraph.json');

/** A process of a test. */
export interface TestProcess extends AsyncDisposable {
  child: ChildProcess;
  /** Returns the output so far. */
  output(): string;
  /** Its exit status, or the signal of its end. */
  ended: Promise<number | NodeJS.Signals>;
  /** Sends a signal, and waits for the end of the process. */
  end(signal: NodeJS.Signals): TestProcess['ended'];
}

export interface ServerProcess extends TestProcess {
  client: TestApp;
}

/** Starts Node in the root folder of the server. `dispose` kills it. */
function startNode(args: string[], env: Record<string, string> = {}): TestProcess {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += text;
    });
  }
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  const end = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return ended;
  };
  return {
    child,
    output: () => output,
    ended,
    end,
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
    },
  };
}

/** Starts Node with an ES module. The module may import the sources of the server. */
export function startCode(code: string): TestProcess {
  return startNode(['--import', 'tsx', '--input-type=module', '-e', code]);
}

/** Starts a server on a database, with the graphs of the tests. */
export async function startServerProcess(
  { databaseUrl, dataDir }: TestDatabase,
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const process = startNode(['src/start.js'], {
    PORT: '0',
    THREADQL_CONFIG: GRAPHS_FILE,
    THREADQL_DATA_DIR: dataDir,
    ...(databaseUrl && { DATABASE_URL: databaseUrl }),
    ...env,
  });
  const url = await new Promise<string>((resolve, reject) => {
    void process.ended.then(() => reject(new Error(`It did not start: ${process.output()}`)));
    for (const stream of [process.child.stdout, process.child.stderr]) {
      stream?.on('data', () => {
        const [, address] = /(http:\/\/\S+)\/graphql/.exec(process.output()) ?? [];
        if (address) resolve(address);
      });
    }
  });
  const stop = async () => {};
  return { ...process, client: createClients({ url, stop } as Server) };
}
