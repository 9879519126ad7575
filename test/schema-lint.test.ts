import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');

it('The schema follows the rules of graphql-eslint, also those for Relay', async () => {
  const command = path.join(ROOT, 'node_modules/.bin/eslint');
  const args = ['--config', '.config/eslint.mjs', 'schema.graphql'];
  const lint = promisify(execFile)(command, args, { cwd: ROOT });
  const output = await lint.then(
    ({ stdout }) => stdout,
    ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
  );
  expect(output).toBe('');
});
