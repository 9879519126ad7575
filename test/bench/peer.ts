import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

/** The peer has its own dependencies. Only the benchmark needs them. */
export function installPeer(say: (line: string) => void): void {
  const cwd = path.join(import.meta.dirname, 'peer');
  if (existsSync(path.join(cwd, 'node_modules/@langchain/langgraph-api'))) return;
  say('Installing the peer in test/bench/peer (npm ci).');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd,
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) throw new Error('npm ci failed in test/bench/peer.');
}
