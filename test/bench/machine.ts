import { execFile, execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { queryPostgres } from './stores.ts';

/** Returns the milliseconds of the calibrating loop in its own process. */
export function calibrate(): number {
  const loop = path.join(import.meta.dirname, 'calibrating-loop.js');
  return Number(execFileSync(process.execPath, [loop], { encoding: 'utf8' }));
}

/** Describes the environment of a run besides the code: one line each. */
export async function describeMachine(): Promise<string[]> {
  const [cpu] = os.cpus();
  const [row] = await queryPostgres<Record<string, string>>(
    `SELECT current_setting('server_version') AS "version", current_setting('fsync') AS "fsync",
       current_setting('synchronous_commit') AS "synchronousCommit", current_setting('shared_buffers') AS "buffers"`,
  );
  const commit = await promisify(execFile)('git', ['describe', '--always', '--dirty'], {
    cwd: import.meta.dirname,
  }).then(
    ({ stdout }) => stdout.trim(),
    () => 'unknown',
  );
  const versions = await Promise.all(
    ['langgraph-api', 'langgraph-sdk', 'langgraph', 'core'].map(
      async (name) => `@langchain/${name} ${await versionOf(`@langchain/${name}`)}`,
    ),
  );
  return [
    `${os.cpus().length} × ${cpu?.model}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release()}`,
    `Node.js ${process.version}; threadql ${commit}`,
    `PostgreSQL ${row?.['version']}, fsync ${row?.['fsync']}, synchronous_commit ${row?.['synchronousCommit']}, shared_buffers ${row?.['buffers']}`,
    versions.join(', '),
  ];
}

async function versionOf(name: string): Promise<string> {
  const file = path.join(import.meta.dirname, 'peer/node_modules', name, 'package.json');
  return (JSON.parse(await readFile(file, 'utf8')) as { version: string }).version;
}

export function loadAverage(): string {
  return os
    .loadavg()
    .map((load) => load.toFixed(2))
    .join(' ');
}
