import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isRecord } from '../json.ts';

/** The place of an export of the project. */
export interface Source {
  file: string;
  /** The name of the export. */
  name: string;
}

/** Finds the file of `path:export`, or of a path without an export for the default export. Paths are relative to `from`. */
export function findSource(source: string, from: string): Source {
  const [, module = source, name = 'default'] = /^(.+?)(?::([^:/\\]+))?$/.exec(source) ?? [];
  const file = resolve(dirname(from), module);
  if (!existsSync(file)) throw new Error(`there is no file ${file}.`);
  return { file, name };
}

export async function importExport({ file, name }: Source): Promise<unknown> {
  return readExport(await import(pathToFileURL(file).href), name);
}

function readExport(module: Record<string, unknown>, name: string): unknown {
  // The exports of a CommonJS file may be in `default` only.
  const whole = module['default'];
  const exports = isPlainObject(whole) ? { ...module, ...whole } : module;
  if (exports[name] !== undefined) return exports[name];
  const names = Object.keys(exports).filter((key) => key !== 'module.exports');
  throw new Error(`it has no export "${name}"; its exports are: ${names.join(', ') || 'none'}.`);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && Object.getPrototypeOf(value) === Object.prototype;
}
