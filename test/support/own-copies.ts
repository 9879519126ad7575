import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const PACKAGES = path.join(import.meta.dirname, '../../node_modules');

/** A temporary directory outside this project. */
export async function createDirectory(
  files: Record<string, unknown>,
): Promise<{ directory: string } & AsyncDisposable> {
  const directory = await mkdtemp(path.join(tmpdir(), 'threadql-project-'));
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  }
  return { directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

/**
 * Installs the packages of this project into a directory, some as copies and the rest as links. The newer `instanceof`
 * of LangChain accepts messages of any copy. The copy lacks it.
 */
export async function installCopies(directory: string, copied: readonly string[]): Promise<void> {
  const target = path.join(directory, 'node_modules');
  await mkdir(path.join(target, '@langchain'), { recursive: true });
  const names = [
    ...(await readdir(PACKAGES)).filter((name) => name !== '@langchain' && !name.startsWith('.')),
    ...(await readdir(path.join(PACKAGES, '@langchain'))).map((name) => `@langchain/${name}`),
  ];
  for (const name of names) {
    const [from, to] = [path.join(PACKAGES, name), path.join(target, name)];
    if (copied.includes(name)) await copyPackage(from, to);
    else await symlink(from, to);
  }
  if (copied.includes('@langchain/core')) await forgetBrands(path.join(target, '@langchain/core'));
}

function copyPackage(from: string, to: string): Promise<void> {
  const isCode = (file: string) => !/\.(map|d\.ts|d\.cts)$/.test(file);
  return cp(from, to, { recursive: true, filter: isCode });
}

async function forgetBrands(core: string): Promise<void> {
  const messages = path.join(core, 'dist/messages');
  for (const name of await readdir(messages)) {
    if (!/\.c?js$/.test(name)) continue;
    const file = path.join(messages, name);
    const source = await readFile(file, 'utf8');
    await writeFile(file, source.replaceAll('static [Symbol.hasInstance](', 'static isBranded('));
  }
}
