import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');

/** A project in a temporary folder. */
export interface Project extends AsyncDisposable {
  directory: string;
  /** Its langgraph.json. */
  file: string;
}

/** Writes the files of a project. With `modules: 'ours'`, it imports the packages installed here; with 'own', only its own. */
export async function createProject(
  files: Record<string, unknown>,
  { modules = 'ours' }: { modules?: 'ours' | 'own' } = {},
): Promise<Project> {
  const directory = await realpath(await mkdtemp(path.join(tmpdir(), 'threadql-graphs-')));
  if (modules === 'ours') {
    await symlink(path.join(ROOT, 'node_modules'), path.join(directory, 'node_modules'));
  }
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  }
  return {
    directory,
    file: path.join(directory, 'langgraph.json'),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}
