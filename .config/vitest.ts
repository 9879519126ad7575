import path from 'node:path';
import process from 'node:process';
import { defineConfig } from 'vitest/config';
import type { Reporter, TestModule } from 'vitest/node';

const testDatabaseUrl = process.env['TEST_DATABASE_URL'];

/** The same tests, on one database. */
function project(name: 'embedded' | 'postgres') {
  return { extends: true, test: { name, provide: { database: name, testDatabaseUrl } } } as const;
}

/** Ends a run with how many tests each project ran; `.ci/run` reads these lines. */
const counts: Reporter = {
  onTestRunEnd(modules) {
    for (const name of new Set(modules.map((module) => module.project.name))) {
      const own = modules.filter((module) => module.project.name === name);
      console.log(`${name}: ${summarize(own)}`);
    }
    if (!testDatabaseUrl) console.log('postgres: not run, since TEST_DATABASE_URL is not set');
  },
};

function summarize(modules: TestModule[]): string {
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const count = (state: string) => tests.filter((test) => test.result().state === state).length;
  // A file that does not load, or whose hooks fail, has failed even where no test of it did.
  const broken = modules.filter(
    (module) => module.state() === 'failed' && !failedTests(module),
  ).length;
  return `${count('passed')} passed, ${count('failed') + broken} failed, ${count('skipped')} skipped`;
}

function failedTests(module: TestModule): boolean {
  return [...module.children.allTests('failed')].length > 0;
}

export default defineConfig({
  root: path.join(import.meta.dirname, '..'),
  // Vite finds graphql's .mjs, Node its .js: two copies of one library, and `instanceof` fails between them.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/prepare-databases.ts',
    // One more than cores on a small machine: many tests wait for processes of their own.
    maxWorkers: 3,
    // A developer's keys are not for tests.
    env: { OPENAI_API_KEY: '', ANTHROPIC_API_KEY: '' },
    // The first test of a file also waits for the server of the file.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', counts],
    projects: [project('embedded'), ...(testDatabaseUrl ? [project('postgres')] : [])],
  },
});
