import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A file system in memory with a limited size. */
export interface SmallDisk extends Disposable {
  directory: string;
  /** Fills the disk. */
  fill(): void;
  /** Frees the space again. */
  free(): void;
}

/** Mounts a disk of so many megabytes. Undefined: the user or the system may not mount it. */
export function mountSmallDisk(megabytes: number): SmallDisk | undefined {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'threadql-disk-'));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  try {
    run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', directory);
  } catch {
    remove();
    return undefined;
  }
  const filler = path.join(directory, 'filler');
  return {
    directory,
    fill() {
      for (let bytes = 1_048_576; bytes >= 4096;) {
        try {
          writeFileSync(filler, Buffer.alloc(bytes), { flag: 'a' });
        } catch {
          bytes /= 2;
        }
      }
    },
    free: () => truncateSync(filler),
    [Symbol.dispose]() {
      run('umount', '-l', directory);
      remove();
    },
  };
}

/** Copies a folder to the disk. */
export function copyToDisk(disk: SmallDisk, folder: string): string {
  const target = path.join(disk.directory, 'data');
  cpSync(folder, target, { recursive: true });
  return target;
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: 'ignore' });
}
