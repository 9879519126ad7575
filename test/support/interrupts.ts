import { expect } from 'vitest';
import type { Client, RunInput, Thread } from './client.ts';

type Interrupt<Value> = Omit<Thread['interrupts'][number], 'value'> & { value: Value };
type Answers = NonNullable<NonNullable<RunInput['command']>['resume']>;

/** Creates a thread and runs a graph on it until the graph asks a question. */
export async function waitingThread(
  client: Client,
  assistantId: string,
  input: Record<string, unknown> = {},
): Promise<string> {
  const threadId = await client.createThread();
  const run = await client.runToEnd({ threadId, assistantId, input });
  expect(run).toMatchObject({ status: 'INTERRUPTED', error: null });
  return threadId;
}

/** Returns the pending interrupts of a thread. */
export async function interruptsOf<Value = unknown>(
  client: Client,
  threadId: string,
): Promise<Interrupt<Value>[]> {
  return (await client.getThread(threadId)).interrupts as Interrupt<Value>[];
}

/** Returns the pending interrupt of a thread. Fails the test if it has none or several. */
export async function onlyInterrupt<Value = unknown>(
  client: Client,
  threadId: string,
): Promise<Interrupt<Value>> {
  const [only, ...others] = await interruptsOf<Value>(client, threadId);
  expect(others).toEqual([]);
  return only ?? expect.fail(`Thread ${threadId} has no pending interrupt.`);
}

/** Returns the id of the pending interrupt with this value. */
export async function findInterruptId(
  client: Client,
  threadId: string,
  value: unknown,
): Promise<string> {
  const found = (await interruptsOf(client, threadId)).find((each) => each.value === value);
  return found?.id ?? expect.fail(`The thread does not ask ${JSON.stringify(value)}.`);
}

/** Returns the input of a run that answers interrupts of a thread. */
export function resume(
  threadId: string,
  assistantId: string,
  answers: Answers,
  more: Partial<RunInput> = {},
): RunInput {
  return { threadId, assistantId, command: { resume: answers }, ...more };
}
