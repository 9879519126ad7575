// Plain JavaScript: the embedded database's thread loads it.
import { chmodSync, lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';

const OTHERS = 0o077;

/**
 * The permissions without those of the group and of everybody else.
 *
 * @param {number} mode
 */
export const withoutOthers = (mode) => mode & ~OTHERS;

/**
 * Removes the permissions of other users for a directory and its content. Does not follow symbolic links.
 *
 * @param {string} directory
 */
export function closeToOthers(directory) {
  closeOne(directory);
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isSymbolicLink()) closeOne(path.join(entry.parentPath, entry.name));
  }
}

/** @param {string} file */
function closeOne(file) {
  const { mode } = lstatSync(file);
  if (mode & OTHERS) chmodSync(file, withoutOthers(mode) & 0o7777);
}
