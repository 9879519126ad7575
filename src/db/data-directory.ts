import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ATTEMPTS = 5;

/**
 * Makes this process the one owner of a data directory, which it creates where it is missing, until the returned function
 * is called. An owner that died is succeeded. Throws, naming it, when another process lives.
 *
 * The mark of an owner is a file named after it. Each writes its mark first and looks for others then: of two that
 * start at once, the later one sees the other, whatever the order; and only marks of the dead are ever removed.
 */
export async function ownDataDirectory(directory: string): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const mark = path.join(
    directory,
    markOf(process.pid, (await readStart(process.pid)) ?? 'unknown'),
  );
  for (let attempt = 1; ; attempt++) {
    if (!(await create(mark))) throw inUse(directory, process.pid, mark);
    const other = await findLivingOwner(directory, mark).catch(async (error: unknown) => {
      await rm(mark, { force: true });
      throw error;
    });
    if (!other) return () => rm(mark, { force: true });
    await rm(mark, { force: true });
    if (attempt === ATTEMPTS) throw inUse(directory, other.pid, other.mark);
    // Two that start at once may both have given way: each tries again at a moment of its own.
    await sleep(20 + Math.random() * 200);
  }
}

function inUse(directory: string, pid: number, mark: string): Error {
  return new Error(
    `The data directory ${directory} is in use by process ${pid}. Stop that one, choose another directory with ` +
      `THREADQL_DATA_DIR, or set DATABASE_URL to share a PostgreSQL. If process ${pid} is not a threadql server, delete ${mark}.`,
  );
}

/** False when the file is there already. */
async function create(mark: string): Promise<boolean> {
  try {
    await writeFile(mark, '', { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Another owner that lives. Removes the marks of dead ones. */
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
    // EPERM: it lives, and belongs to another user.
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
  }
  const now = await readStart(pid);
  return now === undefined || start === 'unknown' || now === start;
}

/** When a process started, on Linux: process ids are used again, the pair is not. Undefined where it cannot be known. */
async function readStart(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command's name, which may hold anything; the state is the third, the start the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 'ended' : fields[19];
  } catch {
    return undefined; // no /proc here, or not for us
  }
}
