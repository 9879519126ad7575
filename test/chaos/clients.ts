import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import { createRandom, type Random } from './random.ts';

export type Durability = 'SYNC' | 'ASYNC' | 'EXIT';

/** A run that the server has acknowledged. */
export interface AcknowledgedRun {
  id: string;
  key: string;
  /** The prefix of the run's entries in the log. Undefined: the run answers a question. */
  label: string | undefined;
  /** Undefined: the run is stateless. */
  threadId: string | undefined;
  durability: Durability;
  /** The answer of the run to a question. */
  answer: { interruptId: string; value: string } | undefined;
  /** The final status in the server's answer, if the client waited for it. */
  endedAs: string | undefined;
}

export interface AcknowledgedCancel {
  runId: string;
  action: 'KEEP' | 'ROLLBACK';
  /** The time of the answer with the stop of the run. Undefined: the client did not wait for it. */
  stoppedAt: Date | undefined;
}

/** The received events of a run, over any number of connections. */
export interface Followed {
  runId: string;
  events: { id: string; type: string }[];
}

/** All answers of the server to clients. */
export interface Story {
  runs: AcknowledgedRun[];
  cancels: AcknowledgedCancel[];
  followed: Followed[];
  threadIds: string[];
  /** Unexpected observations of clients. */
  surprises: string[];
  reconnects: number;
}

export interface ClientsOptions {
  url: string;
  seed: number;
  clients: number;
  threads: number;
  /** After this signal, clients start nothing new. They end when all their requests have ended. */
  stopping: AbortSignal;
  /** Ends everything. */
  signal: AbortSignal;
}

const CREATE_RUN = `mutation ($input: CreateRunInput!, $wait: Boolean!) {
  createRun(input: $input, wait: $wait) { id status }
}`;
const CREATE_THREAD = `mutation ($id: ID!) { createThread(input: { id: $id, ifExists: DO_NOTHING }) { id } }`;
const CANCEL_RUN = `mutation ($id: ID!, $action: CancelAction!, $wait: Boolean!) {
  cancelRun(id: $id, action: $action, wait: $wait) { id status }
}`;
const INTERRUPTS = `query ($id: ID!) { thread(id: $id) { status interrupts { id } } }`;
const FOLLOW = `subscription ($runId: ID!, $after: ID) { runEvents(runId: $runId, after: $after) { __typename id } }`;

const FINAL = ['SUCCESS', 'INTERRUPTED', 'CANCELLED', 'ERROR', 'TIMEOUT'];
const RETRY_MS = 100;
const ANSWER_MS = 120_000;

/** The expected refusals of this kind of client. */
const REFUSALS = ['THREAD_BUSY', 'CONFLICT', 'NOT_FOUND'];

class RefusedError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

export interface Clients {
  /** The answers so far. */
  story: Story;
  /** Resolves when all requests of the clients have ended. */
  ended: Promise<void>;
}

/** Creates a few threads. Clients start, follow, cancel and answer runs on them. */
export async function startClients(options: ClientsOptions): Promise<Clients> {
  const story: Story = {
    runs: [],
    cancels: [],
    followed: [],
    threadIds: [],
    surprises: [],
    reconnects: 0,
  };
  const { url, seed, signal, stopping } = options;
  const socket = createSocket(url);

  /** Repeats a request until the server answers. Throws RefusedError. */
  async function ask(query: string, variables: Record<string, unknown>): Promise<any> {
    for (;;) {
      signal.throwIfAborted();
      const answer = await post(query, variables).catch(() => undefined);
      const [error] = answer?.errors ?? [];
      if (answer && !error) return answer.data;
      const code: unknown = error?.extensions?.code;
      if (error && code !== 'SERVICE_UNAVAILABLE') {
        if (!REFUSALS.includes(String(code))) {
          story.surprises.push(`${JSON.stringify(error)} to ${JSON.stringify(variables)}`);
        }
        throw new RefusedError(String(code), error.message);
      }
      await sleep(RETRY_MS);
    }
  }

  async function post(query: string, variables: Record<string, unknown>): Promise<any> {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    return response.json();
  }

  async function createRun(
    input: Record<string, unknown>,
    { wait, ...run }: Omit<AcknowledgedRun, 'id' | 'endedAs'> & { wait: boolean },
  ): Promise<AcknowledgedRun> {
    const { createRun } = await ask(CREATE_RUN, { input, wait });
    if (wait && !FINAL.includes(createRun.status)) {
      story.surprises.push(
        `createRun waited for run ${createRun.id}, which is ${createRun.status}`,
      );
    }
    const acknowledged = { ...run, id: createRun.id, endedAs: wait ? createRun.status : undefined };
    story.runs.push(acknowledged);
    return acknowledged;
  }

  /** Follows a run to its end. If the connection breaks, it continues with its cursor. */
  async function follow(runId: string): Promise<void> {
    const followed: Followed = { runId, events: [] };
    story.followed.push(followed);
    while (!signal.aborted) {
      try {
        const variables = { runId, after: followed.events.at(-1)?.id };
        for await (const { data, errors } of socket.iterate<any>({ query: FOLLOW, variables })) {
          if (errors) throw new Error(JSON.stringify(errors));
          const { __typename: type, id } = data?.runEvents ?? {};
          followed.events.push({ id, type });
        }
        if (followed.events.at(-1)?.type === 'RunFinishedEvent') return;
        story.surprises.push(`The events of run ${runId} ended without the final one.`);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!isBroken(error)) story.surprises.push(`Following run ${runId}: ${describe(error)}`);
        story.reconnects += 1;
        await sleep(RETRY_MS);
      }
    }
  }

  async function cancel(runId: string, random: Random): Promise<void> {
    await sleep(random.int(0, 600));
    const action = random.pick(['KEEP', 'ROLLBACK'] as const);
    const wait = random.chance(0.5);
    const { cancelRun } = await ask(CANCEL_RUN, { id: runId, action, wait });
    const stoppedAt = wait ? new Date() : undefined;
    if (wait && cancelRun.status !== 'CANCELLED') {
      story.surprises.push(`cancelRun waited for run ${runId}, which is ${cancelRun.status}`);
    }
    story.cancels.push({ runId, action, stoppedAt });
  }

  async function beClient(name: number): Promise<void> {
    const random = createRandom(seed * 1000 + name);
    for (let n = 1; !stopping.aborted && !signal.aborted; n++) {
      await doSomething(random, `${name}.${n}`).catch((error: unknown) => {
        if (!(error instanceof RefusedError) && !signal.aborted) throw error;
      });
      await sleep(random.int(0, 150));
    }
  }

  async function doSomething(random: Random, name: string): Promise<void> {
    const threadId = random.pick(story.threadIds);
    const run =
      (await answer(random, { name, threadId })) ?? (await start(random, { name, threadId }));
    const following = random.chance(0.7) ? follow(run.id) : undefined;
    const second = random.chance(0.3) ? follow(run.id) : undefined;
    try {
      if (random.chance(0.25)) await cancel(run.id, random);
    } finally {
      await following;
      await second;
    }
  }

  async function start(
    random: Random,
    { name, threadId: some }: { name: string; threadId: string },
  ): Promise<AcknowledgedRun> {
    const threadId = random.chance(0.05) ? undefined : some;
    const durability = random.weighted({ SYNC: 7, ASYNC: 2, EXIT: 1 });
    const asks = threadId !== undefined && random.chance(0.25);
    const input = {
      threadId,
      assistantId: 'work',
      input: { label: name, asks, ms: random.int(20, 400), log: [`${name}:in`] },
      multitaskStrategy: random.weighted({ ENQUEUE: 12, INTERRUPT: 3, ROLLBACK: 3, REJECT: 2 }),
      durability,
      afterSeconds: random.chance(0.1) ? random.int(200, 3000) / 1000 : 0,
      idempotencyKey: `${seed}/${name}`,
    };
    const told = {
      key: input.idempotencyKey,
      label: name,
      threadId,
      durability,
      answer: undefined,
    };
    const run = await createRun(input, { ...told, wait: random.chance(0.25) });
    if (random.chance(0.1)) {
      const { createRun: again } = await ask(CREATE_RUN, { input, wait: false });
      if (again.id !== run.id) {
        story.surprises.push(
          `The key ${input.idempotencyKey} gave run ${run.id}, then run ${again.id}.`,
        );
      }
    }
    return run;
  }

  /** Answers the question of the thread, if it has a question and the client does not ignore it. */
  async function answer(
    random: Random,
    { name, threadId }: { name: string; threadId: string },
  ): Promise<AcknowledgedRun | undefined> {
    if (random.chance(0.3)) return undefined;
    const { thread } = await ask(INTERRUPTS, { id: threadId });
    if (thread.status !== 'INTERRUPTED') return undefined;
    const [interrupt] = thread.interrupts;
    if (!interrupt) return undefined;
    const durability = random.weighted({ SYNC: 7, ASYNC: 2, EXIT: 1 });
    const key = `${seed}/${name}/answer`;
    const given = { interruptId: interrupt.id, value: name };
    const input = {
      threadId,
      assistantId: 'work',
      command: { resume: [given] },
      durability,
      idempotencyKey: key,
    };
    const told = { key, label: undefined, threadId, durability, answer: given };
    return createRun(input, { ...told, wait: random.chance(0.25) });
  }

  const random = createRandom(seed);
  for (let n = 0; n < options.threads; n++) {
    const id = uuid(random);
    await ask(CREATE_THREAD, { id });
    story.threadIds.push(id);
  }
  const clients = Array.from({ length: options.clients }, (_, n) => beClient(n + 1));
  const ended = Promise.all(clients)
    .then(() => {})
    .finally(() => void socket.dispose());
  return { story, ended };
}

function createSocket(url: string): Client {
  return createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    lazyCloseTimeout: 1000,
  });
}

/** A closed socket, a refused connection, or an answer without a database. */
function isBroken(error: unknown): boolean {
  if (error instanceof Error) return /SERVICE_UNAVAILABLE|ECONN|socket hang up/.test(error.message);
  const { code, type, message } = error as { code?: number; type?: string; message?: string };
  if (JSON.stringify(error).includes('SERVICE_UNAVAILABLE')) return true;
  return code === 1006 || code === 1012 || type === 'error' || /ECONN/.test(String(message));
}

function describe(error: unknown): string {
  if (error instanceof Error) return error.message;
  const { code, reason } = error as { code?: number; reason?: unknown };
  return code === undefined ? JSON.stringify(error) : `closed with ${code} ${String(reason)}`;
}

function uuid(random: Random): string {
  const hex = (length: number) =>
    Array.from({ length }, () => random.int(0, 15).toString(16)).join('');
  return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`;
}
