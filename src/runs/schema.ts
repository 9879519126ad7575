import { AssistantRef } from '../assistants/schema.ts';
import { CheckpointRef, InterruptRef } from '../checkpoints/schema.ts';
import { findValues, valuesLeft } from '../checkpoints/states.ts';
import type { EndedRun } from '../events/event.ts';
import { builder } from '../schema/builder.ts';
import { clientLeft } from '../schema/client-left.ts';
import { connectionOf, forwardArgs } from '../schema/connection.ts';
import { NodeRef } from '../schema/node.ts';
import { CommandInput, RunErrorRef, shownError, ThreadRef } from '../threads/schema.ts';
import { parseUuid } from '../uuid.ts';
import { cancelRun, cancelRuns } from './cancel.ts';
import { createRun, createRuns } from './create.ts';
import { deleteRun } from './delete.ts';
import { findRun, searchRuns } from './search.ts';
import { isFinal } from './status.ts';
import { waitForRun } from './wait.ts';

export const RunStatus = builder.enumType('RunStatus', {
  description: 'How far a run is, or how it ended.',
  values: {
    PENDING: { description: 'Accepted, waiting for a worker, for its time or for the thread.' },
    RUNNING: { description: 'A worker executes it.' },
    SUCCESS: { description: 'The graph ran to its end.' },
    INTERRUPTED: {
      description: 'The graph stopped to wait for a person; the thread is INTERRUPTED.',
    },
    CANCELLED: { description: 'Stopped on request, or by a newer run on the thread.' },
    ERROR: { description: 'The graph failed.' },
    TIMEOUT: { description: 'It took longer than it was given.' },
  } as const,
});

const MultitaskStrategy = builder.enumType('MultitaskStrategy', {
  description: 'What happens to a new run on a thread that already has one.',
  values: {
    REJECT: { description: 'The new run is refused with THREAD_BUSY.' },
    ENQUEUE: { description: 'The new run waits its turn.' },
    INTERRUPT: {
      description:
        'The old runs stop where they are and end CANCELLED; their finished steps stay. A delayed run is left alone until it is due.',
    },
    ROLLBACK: {
      description: 'The old runs stop and leave no trace: the thread is as if they had never run.',
    },
  } as const,
});

const IfThreadMissing = builder.enumType('IfThreadMissing', {
  description: 'What happens where no thread has the threadId.',
  values: {
    REJECT: { description: 'NOT_FOUND.' },
    CREATE: { description: 'The thread is made, with that id.' },
  } as const,
});

const OnCompletion = builder.enumType('OnCompletion', {
  description: 'What becomes of the thread of a stateless run when the run ends.',
  values: {
    DELETE: { description: 'It goes, with its checkpoints; the run keeps its output.' },
    KEEP: { description: "It stays, as any other: the run's threadId names it." },
  } as const,
});

const Durability = builder.enumType('Durability', {
  description: 'When checkpoints are written.',
  values: {
    SYNC: { description: 'Before the next step: a finished step is never repeated.' },
    ASYNC: {
      description:
        'While the next steps run, which do not wait for it: after a crash the last ones may run again.',
    },
    EXIT: { description: 'Once, at the end.' },
  } as const,
});

export const StreamMode = builder.enumType('StreamMode', {
  description: 'What is told of a run while it runs.',
  values: {
    VALUES: { description: 'The whole state after each step.' },
    UPDATES: { description: 'What each node wrote.' },
    MESSAGES: { description: 'Messages as they are written, token by token.' },
    CUSTOM: { description: 'What nodes write to the stream themselves.' },
    TASKS: { description: 'The start and the end of each task.' },
    CHECKPOINTS: { description: 'Each checkpoint as it is made.' },
  } as const,
});

export const RunRef = builder.prismaObject('Run', {
  description: 'One execution of an assistant on a thread.',
  interfaces: [NodeRef],
  fields: (t) => ({
    status: t.expose('status', { type: RunStatus }),
    thread: t.field({
      type: ThreadRef,
      nullable: true,
      description: 'Null for a stateless run whose thread is gone.',
      resolve: ({ threadId }, _args, { db }) =>
        threadId === null ? null : db.thread.findUnique({ where: { id: threadId } }),
    }),
    threadId: t.exposeID('threadId', { nullable: true }),
    assistant: t.field({
      type: AssistantRef,
      description: 'Also when it has been deleted: as it was then.',
      resolve: ({ assistantId }, _args, { db }) =>
        db.assistant.findUniqueOrThrow({ where: { id: assistantId } }),
    }),
    assistantId: t.exposeID('assistantId'),
    input: t.expose('input', {
      type: 'JSON',
      nullable: true,
      description: 'What the run was asked to do.',
    }),
    config: t.expose('config', {
      type: 'JSONObject',
      description:
        "The assistant's config with the request's on top, as they were when the run was accepted.",
    }),
    context: t.expose('context', {
      type: 'JSONObject',
      description: "The assistant's context with the request's on top.",
    }),
    metadata: t.expose('metadata', {
      type: 'JSONObject',
      description: "The assistant's metadata, but for created_by, with the request's on top.",
    }),
    multitaskStrategy: t.expose('multitaskStrategy', { type: MultitaskStrategy }),
    attempt: t.exposeInt('attempt', {
      description: '1 for the first try; more after a worker was lost; 0 before a worker took it.',
    }),
    output: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The values the run left, also after ERROR or CANCELLED; null until it ends.',
      resolve: async ({ status, output, threadId, headId, left }: EndedRun, _args, app) => {
        if (!isFinal(status) || output !== null) return output;
        if (left) return valuesLeft(app, left);
        if (threadId === null || headId === null) return null;
        return findValues(app, threadId, { checkpointId: headId });
      },
    }),
    interrupts: t.field({
      type: [InterruptRef],
      description: 'What the run asked.',
      resolve: ({ id, threadId }, _args, { db }) =>
        threadId === null
          ? []
          : db.interrupt.findMany({ where: { threadId, runId: id }, orderBy: { seq: 'asc' } }),
    }),
    error: t.field({
      type: RunErrorRef,
      nullable: true,
      description: 'Why status is ERROR.',
      resolve: ({ error }) => shownError(error),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a worker first took it.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When its status became final; null until then.',
    }),
  }),
});

builder.objectField(CheckpointRef, 'run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'The run that wrote it; null after an update by hand, or where it was deleted.',
    resolve: ({ row: { runId } }, _args, { db }) =>
      runId === null ? null : db.run.findUnique({ where: { id: runId, tombstone: false } }),
  }),
);

builder.prismaObjectField(InterruptRef, 'run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'The run that asked.',
    resolve: ({ runId }, _args, { db }) =>
      runId === null ? null : db.run.findUnique({ where: { id: runId, tombstone: false } }),
  }),
);

const Runs = connectionOf(RunRef, 'Run', { totalCount: true });

builder.prismaObjectField(ThreadRef, 'runs', (t) =>
  t.field({
    type: Runs,
    description: 'Newest first.',
    args: { ...forwardArgs(t), status: t.arg({ type: [RunStatus], description: 'One of these.' }) },
    resolve: ({ id }, { status, ...page }, app) => searchRuns(app, { threadId: id, status }, page),
  }),
);

const ASSISTANT_ID = "An assistant's UUID, or a graph's name for its default assistant.";

const RunFilter = builder.inputType('RunFilter', {
  description: 'All of what is given must hold.',
  fields: (t) => ({
    ids: t.idList({ description: '1 to 100.' }),
    threadId: t.id(),
    assistantId: t.id({ description: ASSISTANT_ID }),
    status: t.field({ type: [RunStatus], description: 'One of these.' }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Contained in the run's metadata, as PostgreSQL's jsonb @> means it.",
    }),
  }),
});

builder.queryField('run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'Null where there is none.',
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
        'Null for a stateless run: on a thread of its own, which goes with it and takes no other run (CONFLICT).',
    }),
    assistantId: t.id({ required: true, description: ASSISTANT_ID }),
    input: t.field({
      type: 'JSON',
      description:
        'Null to go on from the state as it is. On an INTERRUPTED thread, any other drops its questions.',
    }),
    command: t.field({
      type: CommandInput,
      description: 'Instead of input: answer interrupts, update the state, jump.',
    }),
    checkpointId: t.id({
      description:
        'Run from this checkpoint of the thread: it forks, and goes on from the new branch. With input null, what came after the checkpoint is done again.',
    }),
    checkpointNamespace: t.string({
      required: true,
      defaultValue: '',
      description: 'The namespace of checkpointId, where that is of a subgraph.',
    }),
    config: t.field({
      type: 'JSONObject',
      description:
        "Laid over the assistant's: configurable key by key, tags, metadata and recursion_limit as a whole. Nothing of it stays with the thread.",
    }),
    context: t.field({
      type: 'JSONObject',
      description: "Laid over the assistant's, key by key: what nodes get as runtime.context.",
    }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Laid over the assistant's, key by key; also kept with the run's checkpoints.",
    }),
    streamModes: t.field({
      type: [StreamMode],
      required: true,
      defaultValue: ['UPDATES', 'MESSAGES', 'CUSTOM'],
      description: 'What is recorded for subscribers.',
    }),
    streamSubgraphs: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether the events of subgraphs are recorded too, with their namespace.',
    }),
    interruptBefore: t.stringList({
      description:
        'Stop before these nodes: names, or ["*"] for every node. The run ends INTERRUPTED and asks nothing; a run without input goes on.',
    }),
    interruptAfter: t.stringList({
      description: 'Stop after these nodes: names, or ["*"] for every node.',
    }),
    ifThreadMissing: t.field({
      type: IfThreadMissing,
      required: true,
      defaultValue: 'REJECT',
      description: 'CREATE makes the thread, with the threadId that is given.',
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
      description: 'Of a stateless run: what becomes of its thread.',
    }),
    durability: t.field({ type: Durability, required: true, defaultValue: 'ASYNC' }),
    afterSeconds: t.float({
      description:
        "Seconds from now before which the run does not start. Until then it is in no other run's way.",
    }),
    timeoutSeconds: t.float({
      description: 'Seconds after its first start when the run ends in TIMEOUT, at most 2,000,000.',
    }),
    idempotencyKey: t.string({
      description:
        'The same key with the same input gives the same run again; with another input, CONFLICT. 1 to 255 characters; kept for at least 24 h.',
    }),
  }),
});

builder.mutationField('createRun', (t) =>
  t.field({
    type: RunRef,
    description:
      'Starts a run. Returns at once, or with wait: true when the run has ended, whatever its status (at most 300 s later, as it then is). Follow it with runEvents.',
    args: {
      input: t.arg({ type: CreateRunInput, required: true }),
      wait: t.arg.boolean({ required: true, defaultValue: false }),
    },
    resolve: async (_root, { input, wait }, app) => {
      const run = await createRun(app, input);
      return wait ? waitForRun(app, run, clientLeft(app)) : run;
    },
  }),
);

builder.mutationField('createRuns', (t) =>
  t.field({
    type: [RunRef],
    description: 'Starts several runs, 1 to 100, in their order: all or none.',
    args: { inputs: t.arg({ type: [CreateRunInput], required: true }) },
    resolve: (_root, { inputs }, app) => createRuns(app, inputs),
  }),
);

const CancelAction = builder.enumType('CancelAction', {
  description: 'What becomes of what a run has done until it is cancelled.',
  values: {
    KEEP: { description: 'Keep what the run has finished.' },
    ROLLBACK: { description: 'Undo the run: the thread is as if it had never run.' },
  } as const,
});

builder.mutationField('cancelRun', (t) =>
  t.field({
    type: RunRef,
    description:
      'Returns when the request is recorded, or with wait: true when the run has stopped. CONFLICT where it has ended.',
    args: {
      id: t.arg.id({ required: true }),
      action: t.arg({ type: CancelAction, required: true, defaultValue: 'KEEP' }),
      wait: t.arg.boolean({ required: true, defaultValue: false }),
    },
    resolve: async (_root, { id, action, wait }, app) => {
      const run = await cancelRun(app, id, action);
      return wait ? waitForRun(app, run, clientLeft(app)) : run;
    },
  }),
);

builder.mutationField('cancelRuns', (t) =>
  t.field({
    type: [RunRef],
    description:
      'Every run that matches and has not ended, at most 100; returns them when the request is recorded. The filter may not be empty.',
    args: {
      filter: t.arg({ type: RunFilter, required: true }),
      action: t.arg({ type: CancelAction, required: true, defaultValue: 'KEEP' }),
    },
    resolve: (_root, { filter, action }, app) => cancelRuns(app, filter, action),
  }),
);

builder.mutationField('deleteRun', (t) =>
  t.id({
    description: 'A run that has ended, with its events; its checkpoints stay.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => deleteRun(app, id),
  }),
);
