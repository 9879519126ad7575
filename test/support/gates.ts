import { rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { randomId, until } from './app.ts';
import type { Client, RunInput } from './client.ts';

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

/** A run of graph `gate` whose first node has ended. Its second node waits. */
interface HeldRun {
  gate: Gate;
  runId: string;
  threadId: string;
  /** The checkpoint of the first step. */
  checkpointId: string;
}

/** Starts a run of graph `gate`, on a new thread by default, and waits until its second node is due. */
export async function startAtGate(
  client: Client,
  input: Pick<RunInput, 'threadId' | 'durability'> = {},
): Promise<HeldRun> {
  const gate = createGate();
  const threadId = input.threadId ?? (await client.createThread());
  const { id } = await client.startRun({
    assistantId: 'gate',
    input: { log: ['in'], file: gate.file },
    ...input,
    threadId,
  });
  const { checkpointId } = await until(async () => {
    const { state } = await client.getThread(threadId);
    return state?.next.includes('hold') ? state : undefined;
  });
  return { gate, runId: id, threadId, checkpointId };
}
