import { AssistantRef } from '../assistants/schema.ts';
import { CheckpointRef } from '../checkpoints/schema.ts';
import { findValues, valuesOfFinal } from '../checkpoints/states.ts';
import { parseUuid } from '../db/uuid.ts';
import { builder } from '../graphql/builder.ts';
import { connectionOf, forwardArgs } from '../graphql/connection.ts';
import { NodeRef } from '../graphql/node.ts';
import { InterruptRef } from '../interrupts/schema.ts';
import { CommandInput, RunErrorRef, shownError, ThreadRef } from '../threads/schema.ts';
import { cancelRun, cancelRuns } from './cancel.ts';
import { createRun, createRuns } from './create.ts';
import { deleteRun } from './delete.ts';
import type { EndedRun } from './end.ts';
import { findRun, searchRuns } from './search.ts';
import { isFinal } from './status.ts';
import { workAndWait } from './wait.ts';

export const RunStatus = builder.enumType('RunStatus', {
  description: 'Progress or outcome of a run.',
  values: {
    PENDING: { description: 'Accepted; waits for a worker, for its start time or for the thread.' },
    RUNNING: { description: 'A worker executes the run.' },
    SUCCESS: { description: 'The graph ran to its end.' },
    INTERRUPTED: {
      description: 'The graph stopped at an interrupt or a breakpoint; the thread is INTERRUPTED.',
    },
    CANCELLED: { description: 'Stopped on request, or by a newer run on the thread.' },
    ERROR: { description: 'The graph failed.' },
    TIMEOUT: { description: 'The run exceeded its time limit.' },
  } as const,
});

const MultitaskStrategy = builder.enumType('MultitaskStrategy', {
  description: 'Policy for a new run on a thread with unfinished runs.',
  values: {
    REJECT: { description: 'The new run is refused with THREAD_BUSY.' },
    ENQUEUE: { description: 'The new run waits in the queue of the thread.' },
    INTERRUPT: {
      description:
        'Unfinished runs stop and end CANCELLED; their finished steps remain. A delayed run is unaffected until it is due.',
    },
    ROLLBACK: {
      description: 'Unfinished runs stop and are undone: the thread keeps no trace of them.',
    },
  } as const,
});

const IfThreadMissing = builder.enumType('IfThreadMissing', {
  description: 'Behavior if no thread has the threadId.',
  values: {
    REJECT: { description: 'Fails with NOT_FOUND.' },
    CREATE: { description: 'Creates the thread with this id.' },
  } as const,
});

const OnCompletion = builder.enumType('OnCompletion', {
  description: 'Handling of the thread of a stateless run when the run ends.',
  values: {
    DELETE: { description: 'Deletes the thread with its checkpoints; the run keeps its output.' },
    KEEP: { description: "Keeps it as a normal thread; the run's threadId names it." },
  } as const,
});

const Durability = builder.enumType('Durability', {
  description: 'When checkpoints are written.',
  values: {
    SYNC: { description: 'Before the next step: a finished step is never repeated.' },
    ASYNC: {
      description: 'In parallel with the next steps: after a crash, the last steps may run again.',
    },
    EXIT: { description: 'Once, at the end of the run.' },
  } as const,
});

export const StreamMode = builder.enumType('StreamMode', {
  description: 'Kinds of recorded events of a run.',
  values: {
    VALUES: { description: 'The full state after each step.' },
    UPDATES: { description: 'Writes of each node.' },
    MESSAGES: { description: 'Messages while a model writes them, token by token.' },
    CUSTOM: { description: 'Data from the stream writers of nodes.' },
    TASKS: { description: 'The start and the end of each task.' },
    CHECKPOINTS: { description: 'Each new checkpoint.' },
  } as const,
});

export const RunRef = builder.prismaObject('Run', {
  description: 'An execution of an assistant on a thread.',
  interfaces: [NodeRef],
  fields: (t) => ({
    status: t.expose('status', { type: RunStatus }),
    thread: t.field({
      type: ThreadRef,
      nullable: true,
      description: 'Null for a stateless run after deletion of its thread.',
      resolve: ({ threadId }, _args, { db }) =>
        threadId === null ? null : db.thread.findUnique({ where: { id: threadId } }),
    }),
    threadId: t.exposeID('threadId', { nullable: true }),
    assistant: t.field({
      type: AssistantRef,
      description: 'A deleted assistant appears with its last values.',
      resolve: ({ assistantId }, _args, { db }) =>
        db.assistant.findUniqueOrThrow({ where: { id: assistantId } }),
    }),
    assistantId: t.exposeID('assistantId'),
    input: t.expose('input', {
      type: 'JSON',
      nullable: true,
      description: 'The input of createRun.',
    }),
    config: t.expose('config', {
      type: 'JSONObject',
      description:
        "The assistant's config at the time of acceptance, with the request's config on top.",
    }),
    context: t.field({
      type: 'JSONObject',
      description:
        "The assistant's context with the request's context on top. An empty object if none is set.",
      resolve: ({ context }) => context ?? {},
    }),
    metadata: t.expose('metadata', {
      type: 'JSONObject',
      description:
        "The assistant's metadata without created_by, with the request's metadata on top.",
    }),
    multitaskStrategy: t.expose('multitaskStrategy', { type: MultitaskStrategy }),
    attempt: t.exposeInt('attempt', {
      description:
        '0 before the first claim, 1 for the first attempt, higher after the loss of a worker.',
    }),
    output: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Final state values, also after ERROR or CANCELLED; null before the run ends.',
      resolve: async (
        { status, output, threadId, headId, finalCheckpoint }: EndedRun,
        _args,
        app,
      ) => {
        if (!isFinal(status) || output !== null) return output;
        if (finalCheckpoint?.isUnchanged()) return valuesOfFinal(app, finalCheckpoint);
        if (threadId === null || headId === null) return null;
        return findValues(app, threadId, { checkpointId: headId });
      },
    }),
    interrupts: t.field({
      type: [InterruptRef],
      description: 'Interrupts of the run, pending or answered.',
      resolve: ({ id, threadId }, _args, { db }) =>
        threadId === null
          ? []
          : db.interrupt.findMany({ where: { threadId, runId: id }, orderBy: { seq: 'asc' } }),
    }),
    error: t.field({
      type: RunErrorRef,
      nullable: true,
      description: 'Reason for status ERROR.',
      resolve: ({ error }) => shownError(error),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of the first claim by a worker.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of the final status; null before the run ends.',
    }),
  }),
});

builder.objectField(CheckpointRef, 'run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description:
      'The run of this checkpoint; null if a client wrote it, or after deletion of the run.',
    resolve: ({ row: { runId } }, _args, { db }) =>
      runId === null ? null : db.run.findUnique({ where: { id: runId, tombstone: false } }),
  }),
);

builder.prismaObjectField(InterruptRef, 'run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'The interrupted run; null after its deletion.',
    resolve: ({ runId }, _args, { db }) =>
      runId === null ? null : db.run.findUnique({ where: { id: runId, tombstone: false } }),
  }),
);

const Runs = connectionOf(RunRef, 'Run', { totalCount: true });

builder.prismaObjectField(ThreadRef, 'runs', (t) =>
  t.field({
    type: Runs,
    description: 'Newest first.',
    args: { ...forwardArgs(t), status: t.arg({ type: [RunStatus], description: 'Any of these.' }) },
    resolve: ({ id }, { status, ...page }, app) => searchRuns(app, { threadId: id, status }, page),
  }),
);

const ASSISTANT_ID = "An assistant's UUID, or a graph's name for its default assistant.";

const RunFilter = builder.inputType('RunFilter', {
  description: 'A run must match all given conditions.',
  fields: (t) => ({
    ids: t.idList({ description: '1 to 100 UUIDs.' }),
    threadId: t.id(),
    assistantId: t.id({ description: ASSISTANT_ID }),
    status: t.field({ type: [RunStatus], description: 'Any of these.' }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Must be contained in the run's metadata (PostgreSQL `jsonb @>`).",
    }),
  }),
});

builder.queryField('run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'Null if none exists.',
    args: { id: t.arg.id({ required: true }) },
    async resolve(_root, { id }, app) {
      const run = await findRun(app, parseUuid('id', id));
      return run?.tombstone ? null : run;
    },
  }),
);

builder.queryField('runs', (t) =>
  t.field({
    type: Runs,
    description: 'Newest first.',
    args: { filter: t.arg({ type: RunFilter }), ...forwardArgs(t) },
    resolve: (_root, { filter, ...page }, app) => searchRuns(app, filter ?? {}, page),
  }),
);

const CreateRunInput = builder.inputType('CreateRunInput', {
  fields: (t) => ({
    threadId: t.id({
      description:
        'Null for a stateless run. The run then has its own thread; with onCompletion DELETE, the thread ends with the run and accepts no further runs (CONFLICT).',
    }),
    assistantId: t.id({ required: true, description: ASSISTANT_ID }),
    input: t.field({
      type: 'JSON',
      description:
        'Null continues from the current state. On an INTERRUPTED thread, any non-null input discards the pending interrupts.',
    }),
    command: t.field({
      type: CommandInput,
      description: 'Instead of input: answer interrupts, update the state, jump to nodes.',
    }),
    checkpointId: t.id({
      description:
        'Start from this checkpoint of the thread. The thread forks and continues on the new branch. With input null, the steps after the checkpoint run again.',
    }),
    checkpointNamespace: t.string({
      required: true,
      defaultValue: '',
      description: 'Namespace of checkpointId, for a checkpoint of a subgraph.',
    }),
    config: t.field({
      type: 'JSONObject',
      description:
        "Merged over the assistant's config: configurable key by key; tags, metadata and recursion_limit as a whole. Not stored with the thread.",
    }),
    context: t.field({
      type: 'JSONObject',
      description:
        "Merged over the assistant's context key by key; nodes read it as runtime.context. Without both, runtime.context is undefined.",
    }),
    metadata: t.field({
      type: 'JSONObject',
      description:
        "Merged over the assistant's metadata key by key; also stored with the run's checkpoints.",
    }),
    streamModes: t.field({
      type: [StreamMode],
      required: true,
      defaultValue: ['UPDATES', 'MESSAGES', 'CUSTOM'],
      description: 'Kinds of events to record for subscribers.',
    }),
    streamSubgraphs: t.boolean({
      required: true,
      defaultValue: false,
      description: 'True also records the events of subgraphs, with their namespace.',
    }),
    interruptBefore: t.stringList({
      description:
        'Stop before these nodes: names, or ["*"] for every node. The run ends INTERRUPTED without an interrupt to answer; a new run with input null continues.',
    }),
    interruptAfter: t.stringList({
      description: 'Stop after these nodes: names, or ["*"] for every node.',
    }),
    ifThreadMissing: t.field({
      type: IfThreadMissing,
      required: true,
      defaultValue: 'REJECT',
      description: 'CREATE creates the thread with the given threadId.',
    }),
    multitaskStrategy: t.field({
      type: MultitaskStrategy,
      required: true,
      defaultValue: 'ENQUEUE',
    }),
    onCompletion: t.field({
      type: OnCompletion,
      required: true,
      defaultValue: 'DELETE',
      description: 'For a stateless run: handling of its thread.',
    }),
    durability: t.field({ type: Durability, required: true, defaultValue: 'ASYNC' }),
    afterSeconds: t.float({
      description:
        'Minimum delay in seconds before the run starts. Until then it blocks no runs of the thread.',
    }),
    timeoutSeconds: t.float({
      description:
        'Time limit in seconds after the first start; the run then ends in TIMEOUT. Default and maximum: RUN_SECONDS of the server.',
    }),
    idempotencyKey: t.string({
      description:
        'A repeated request with the same key and input returns the same run; with a different input, it fails with CONFLICT. 1 to 255 characters; kept for at least 24 h.',
    }),
  }),
});

builder.mutationField('createRun', (t) =>
  t.field({
    type: RunRef,
    description:
      'Creates a run and returns at once. With wait: true it returns when the run has ended with any status, or after WAIT_SECONDS (default 300) with the unfinished run; it fails with SERVICE_UNAVAILABLE if too many requests wait. Subscribe to runEvents to follow the run.',
    args: {
      input: t.arg({ type: CreateRunInput, required: true }),
      wait: t.arg.boolean({ required: true, defaultValue: false }),
    },
    resolve: (_root, { input, wait }, app) => {
      const create = () => createRun(app, input);
      return wait ? workAndWait(app, create) : create();
    },
  }),
);

builder.mutationField('createRuns', (t) =>
  t.field({
    type: [RunRef],
    description: 'Creates 1 to 100 runs in the given order, all or none.',
    args: { inputs: t.arg({ type: [CreateRunInput], required: true }) },
    resolve: (_root, { inputs }, app) => createRuns(app, inputs),
  }),
);

const CancelAction = builder.enumType('CancelAction', {
  description: 'Handling of the steps of a cancelled run.',
  values: {
    KEEP: { description: 'Keeps the finished steps.' },
    ROLLBACK: { description: 'Undoes the run: the thread keeps no trace of it.' },
  } as const,
});

builder.mutationField('cancelRun', (t) =>
  t.field({
    type: RunRef,
    description:
      'Requests the cancellation of a run. Returns when the request is stored, or with wait: true when the run has stopped. CONFLICT if the run has already ended.',
    args: {
      id: t.arg.id({ required: true }),
      action: t.arg({ type: CancelAction, required: true, defaultValue: 'KEEP' }),
      wait: t.arg.boolean({ required: true, defaultValue: false }),
    },
    resolve: (_root, { id, action, wait }, app) => {
      const cancel = () => cancelRun(app, id, action);
      return wait ? workAndWait(app, cancel) : cancel();
    },
  }),
);

builder.mutationField('cancelRuns', (t) =>
  t.field({
    type: [RunRef],
    description:
      'Cancels all unfinished runs matching the filter, 100 at a time; returns the first 100 when all requests are stored. After a failure midway, some runs are already cancelled: repeat the request. The filter must not be empty.',
    args: {
      filter: t.arg({ type: RunFilter, required: true }),
      action: t.arg({ type: CancelAction, required: true, defaultValue: 'KEEP' }),
    },
    resolve: (_root, { filter, action }, app) => cancelRuns(app, filter, action),
  }),
);

builder.mutationField('deleteRun', (t) =>
  t.id({
    description:
      'Deletes an ended run with its events and returns its id; its checkpoints remain. CONFLICT if the run has not ended.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => deleteRun(app, id),
  }),
);
