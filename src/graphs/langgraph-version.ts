import { existsSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { isRecord } from '../json.ts';

const PACKAGE = '@langchain/langgraph';

/** Before 0.4, interrupts have no ids, and checkpoints lack the tasks of a `Send`. */
const OLDEST = '0.4.0';

/** Throws if the file imports a copy of LangGraph from before the oldest supported version. */
export function checkLangGraphVersion(file: string): void {
  const manifest = findManifest(path.dirname(realpathSync(file)));
  if (!manifest) return;
  const version = readVersion(manifest);
  if (version === undefined || compare(version, OLDEST) >= 0) return;
  throw new Error(
    `it uses ${PACKAGE} ${version} (${path.dirname(manifest)}); ` +
      `this server needs ${PACKAGE} ${OLDEST} or newer.`,
  );
}

/** Searches like Node: in node_modules of the folder, then of each parent. Follows links, for example from pnpm. */
function findManifest(folder: string): string | undefined {
  const manifest = path.join(folder, 'node_modules', PACKAGE, 'package.json');
  if (existsSync(manifest)) return manifest;
  const above = path.dirname(folder);
  return above === folder ? undefined : findManifest(above);
}

function readVersion(manifest: string): string | undefined {
  const content: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
  return isRecord(content) && typeof content['version'] === 'string'
    ? content['version']
    : undefined;
}

/** By major, minor and patch; a pre-release counts as its release. */
function compare(one: string, other: string): number {
  const [a, b] = [numbersOf(one), numbersOf(other)];
  const different = a.findIndex((number, i) => number !== b[i]);
  return different === -1 ? 0 : (a[different] ?? 0) - (b[different] ?? 0);
}

function numbersOf(version: string): number[] {
  return version.split(/[-+]/, 1).flatMap((numbers) => numbers.split('.').map(Number));
}
