import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../log.ts';

const ATTEMPTS = 5;
/** The permissions of group and others. */
const OTHERS = 0o077;

/**
 * Makes this process the only owner of a data directory until the returned function is called. Creates a missing directory and
 * makes it private to the user of this process. Takes over from a dead owner. Throws if another process owns the directory (the
 * error gives its id), or if the directory belongs to another user.
 *
 * Each process first writes its mark, a file with its process id and start time, and then reads the marks of others. Of two
 * processes, at least the later one sees the mark of the other. A process removes only the marks of dead processes.
 */
export async function ownDataDirectory(
  directory: string,
  log: Logger,
): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await closeDirectory(directory, log);
  const mark = path.join(
    directory,
    markOf(process.pid, (await readStart(process.pid)) ?? 'unknown'),
  );
  for (let attempt = 1; ; attempt++) {
    if (!(await create(mark)))
      throw new DataDirectoryInUseError(directory, { pid: process.pid, mark });
    const other = await findLivingOwner(directory, mark).catch(async (error: unknown) => {
      await rm(mark, { force: true });
      throw error;
    });
    if (!other) return () => rm(mark, { force: true });
    await rm(mark, { force: true });
    if (attempt === ATTEMPTS) throw new DataDirectoryInUseError(directory, other);
    // Two processes may both have removed their marks: each tries again after a random pause.
    await sleep(20 + Math.random() * 200);
  }
}

/** Another process has the data directory. */
export class DataDirectoryInUseError extends Error {
  readonly directory: string;
  readonly pid: number;

  constructor(directory: string, { pid, mark }: { pid: number; mark: string }) {
    super(
      `The data directory ${directory} is in use by process ${pid}. Stop that one, choose another directory with ` +
        `THREADQL_DATA_DIR, or set DATABASE_URL to share a PostgreSQL. If process ${pid} is not a threadql server, delete ${mark}.`,
    );
    this.name = 'DataDirectoryInUseError';
    this.directory = directory;
    this.pid = pid;
  }
}

/** Removes the permissions of other users. Throws if the directory belongs to another user. */
async function closeDirectory(directory: string, log: Logger): Promise<void> {
  // Windows has no such permissions.
  const user = process.getuid?.();
  if (user === undefined) return;
  const { uid, mode } = await stat(directory);
  if (uid !== user) {
    throw new Error(
      `The data directory ${directory} belongs to user ${uid}, and threadql runs as user ${user}. Make user ${user} its ` +
        `owner (chown -R ${user} ${directory}), or choose another directory with THREADQL_DATA_DIR.`,
    );
  }
  if ((mode & OTHERS) === 0) return;
  await chmod(directory, mode & 0o7777 & ~OTHERS);
  if (((await stat(directory)).mode & OTHERS) === 0) return;
  log.warn(
    { directory },
    'other users can read the data directory: its file system keeps no permissions',
  );
}

/** Returns false if the file exists. */
async function create(mark: string): Promise<boolean> {
  try {
    await writeFile(mark, '', { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Returns another living owner. Removes the marks of dead owners. */
async function findLivingOwner(
  directory: string,
  ours: string,
): Promise<{ pid: number; mark: string } | undefined> {
  for (const name of await readdir(directory)) {
    const mark = path.join(directory, name);
    const [, pid, start] = /^owner\.(\d+)\.(\w+)$/.exec(name) ?? [];
    if (!pid || !start || mark === ours) continue;
    if (await isAlive(Number(pid), start)) return { pid: Number(pid), mark };
    await rm(mark, { force: true });
  }
  return undefined;
}

function markOf(pid: number, start: string): string {
  return `owner.${pid}.${start}`;
}

async function isAlive(pid: number, start: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: the process is alive and belongs to another user.
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
  }
  const now = await readStart(pid);
  return now === undefined || start === 'unknown' || now === start;
}

/** The start time of a process, on Linux; elsewhere undefined. Process ids are reused; id and start time together are not. */
async function readStart(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // Field 2 is the name of the command, in parentheses, and may contain spaces. Field 3 is the state, field 22 the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 'ended' : fields[19];
  } catch {
    return undefined; // no /proc, or no access
  }
}
