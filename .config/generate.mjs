// `npm run generate`, and what `npm ci` ends with: writes src/generated/ from prisma/schema.prisma, and the types of
// src/client/ and test/front-end/ from schema.graphql, with no network.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';

const root = path.join(import.meta.dirname, '..');
const manifest = createRequire(import.meta.url).resolve('prisma/package.json');
const prisma = path.join(path.dirname(manifest), 'build/index.js');
const bin = path.join(path.dirname(manifest), '../.bin');

const { status, stdout, stderr, error } = spawnSync(
  process.execPath,
  [prisma, 'generate', '--config', '.config/prisma.ts', '--no-hints'],
  {
    cwd: root,
    encoding: 'utf8',
    env: {
      ...process.env,
      // Where Prisma finds the other generators.
      PATH: `${bin}${path.delimiter}${process.env.PATH ?? ''}`,
      // Generating needs no schema engine, but the CLI downloads one unless it is told of a file.
      PRISMA_SCHEMA_ENGINE_BINARY: process.env.PRISMA_SCHEMA_ENGINE_BINARY || process.execPath,
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      CHECKPOINT_DISABLE: '1',
      NO_COLOR: '1',
    },
  },
);

if (status === 0) {
  console.log('Generated the database client in src/generated.');
} else {
  console.error(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`.replaceAll(root, '.'));
  console.error('prisma generate failed.');
  process.exitCode = 1;
}

await generateFrontEnd();

async function generateFrontEnd() {
  const tada = await import('@gql.tada/internal').catch((error) => {
    // Only developers have it.
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  });
  if (!tada) return;
  const { buildSchema, introspectionFromSchema } = await import('graphql');
  const sdl = readFileSync(path.join(root, 'schema.graphql'), 'utf8');
  const introspection = tada.minifyIntrospection(introspectionFromSchema(buildSchema(sdl)));
  const types = tada.outputIntrospectionFile(introspection, {
    fileType: '.d.ts',
    shouldPreprocess: true,
  });
  for (const folder of ['src/client/generated', 'test/front-end/generated']) {
    mkdirSync(path.join(root, folder), { recursive: true });
    writeFileSync(path.join(root, folder, 'schema.d.ts'), types);
    console.log(`Generated the types of schema.graphql in ${folder}.`);
  }
}

await buildStudio();

/** Builds the web page at /studio. */
async function buildStudio() {
  const { build } = await import('vite');
  await build({ configFile: path.join(import.meta.dirname, 'studio.mjs') });
  console.log('Built the studio in src/generated/studio.');
}
