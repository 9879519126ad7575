import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { CREATE_RUN, CREATE_THREAD, randomId, until, type TestApp } from './app.ts';

/** Common requests of tests of runs. */
export interface RunDoor extends AsyncDisposable {
  createThread(): Promise<string>;
  start(input: Record<string, unknown>): Promise<any>;
  runToEnd(input: Record<string, unknown>): Promise<any>;
  /** Returns the extensions of the error for a refused run. */
  refusal(input: Record<string, unknown>): Promise<any>;
  run(id: string): Promise<any>;
  thread(id: string): Promise<any>;
  /** Follows a run to its end, and returns the run. */
  ended(id: string): Promise<any>;
  running(id: string): Promise<void>;
  /** Makes a gate for nodes with a `file`. */
  closedGate(): { file: string; open(): Promise<void> };
}

const RUN = `query ($id: ID!) {
  run(id: $id) {
    id status threadId attempt output error { name message } interrupts { id value } startedAt finishedAt multitaskStrategy
  }
}`;

const THREAD = `query ($id: ID!) {
  thread(id: $id) {
    id status values error { name message } metadata
    interrupts { id value node checkpointId checkpointNamespace }
    state { checkpointId next }
    runs(first: 100) { totalCount nodes { id status } }
    history(first: 100) { totalCount nodes { checkpointId parentCheckpointId source step runId values } }
  }
}`;

export async function openRunDoor(server: TestApp): Promise<RunDoor> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-gate-'));
  const run = async (id: string) => (await server.gql(RUN, { id })).run;
  const create = async (input: Record<string, unknown>, wait: boolean) =>
    (await server.gql(CREATE_RUN, { input, wait })).createRun;
  return {
    createThread: async () => (await server.gql(CREATE_THREAD)).createThread.id,
    start: (input) => create(input, false),
    runToEnd: (input) => create(input, true),
    refusal: async (input) => (await server.errors(CREATE_RUN, { input }))[0]?.extensions,
    run,
    thread: async (id) => (await server.gql(THREAD, { id })).thread,
    async ended(id) {
      await server.follow(id, { modes: [] });
      return run(id);
    },
    async running(id) {
      await until(async () => (await run(id)).status === 'RUNNING');
    },
    closedGate() {
      const file = path.join(folder, randomId());
      return { file, open: () => writeFile(file, '') };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
