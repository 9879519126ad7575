import { rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { randomId } from './app.ts';

/** Holds back the graph nodes with this `file` in their input, until the test opens it. */
export interface Gate {
  file: string;
  open(): Promise<void>;
}

export function createGate(): Gate {
  const file = path.join(os.tmpdir(), `threadql-gate-${randomId()}`);
  onTestFinished(() => rm(file, { force: true }));
  return { file, open: () => writeFile(file, '') };
}
