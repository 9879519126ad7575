import {
  CheckpointRef,
  Checkpoints,
  CheckpointSourceRef,
  InterruptRef,
  lastMessages,
  MessageRef,
} from '../checkpoints/schema.ts';
import { readHistory } from '../checkpoints/history.ts';
import { findState, valuesOf } from '../checkpoints/states.ts';
import type { ErrorSummary } from '../errors.ts';
import { isRecord } from '../json.ts';
import { builder, OrderDirection } from '../schema/builder.ts';
import { connectionOf, forwardArgs, pageArgs } from '../schema/connection.ts';
import { NodeRef } from '../schema/node.ts';
import { parseUuid } from '../uuid.ts';
import { IfExists } from '../schema/if-exists.ts';
import { watchThreads } from './changed.ts';
import { copyThread } from './copy.ts';
import { createThread } from './create.ts';
import { deleteThread } from './delete.ts';
import { updateThreadState } from './edit.ts';
import { listPendingInterrupts } from './interrupts.ts';
import { searchThreads } from './search.ts';
import { currentState, showThread, storageBytes } from './state.ts';
import { updateThread } from './update.ts';

const ThreadStatus = builder.enumType('ThreadStatus', {
  description: 'What a thread is at.',
  values: {
    IDLE: { description: 'Nothing is running or due.' },
    BUSY: { description: 'A run is running or due.' },
    INTERRUPTED: { description: 'The last run stopped to wait for a person.' },
    ERROR: { description: 'The last run failed; the state is what it was before the failure.' },
  } as const,
});

export const RunErrorRef = builder.objectRef<ErrorSummary>('RunError').implement({
  description: 'What a run failed with.',
  fields: (t) => ({
    name: t.exposeString('name', { description: "The error's class." }),
    message: t.exposeString('message', { description: 'Cut at 2,000 characters.' }),
  }),
});

/** A stored error as the schema shows it. */
export function shownError(error: unknown): ErrorSummary | null {
  return isRecord(error) ? (error as unknown as ErrorSummary) : null;
}

const CheckpointFilter = builder.inputType('CheckpointFilter', {
  description: 'All of what is given must hold.',
  fields: (t) => ({
    namespace: t.string({
      required: true,
      defaultValue: '',
      description: "Empty for the graph itself; a subgraph's path otherwise.",
    }),
    source: t.field({ type: [CheckpointSourceRef], description: 'One of these.' }),
    step: t.int({ description: '-1 for the input, then 0, 1, 2 …' }),
    runId: t.id({ description: 'The run that wrote it.' }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Contained in the checkpoint's metadata.",
    }),
  }),
});

export const ThreadRef = builder.prismaObject('Thread', {
  description:
    "A conversation's durable state. It belongs to no assistant: any of them runs on it and sees what the others left.",
  interfaces: [NodeRef],
  fields: (t) => ({
    status: t.expose('status', { type: ThreadStatus }),
    metadata: t.field({
      type: 'JSONObject',
      description: 'What clients keep with the thread, and graph_id: the graph of its last run.',
      resolve: ({ metadata }) => metadata,
    }),
    values: t.field({
      type: 'JSON',
      description: "The current state's values; an empty object before the first checkpoint.",
      resolve: async (thread, _args, app) => valuesOf(await currentState(app, thread)),
    }),
    messages: t.field({
      type: [MessageRef],
      description:
        'The messages of the current state, oldest first; empty where the state has none.',
      args: {
        last: t.arg.int({ required: true, defaultValue: 100, description: 'At most 1,000.' }),
      },
      resolve: async (thread, { last }, app) =>
        lastMessages(await currentState(app, thread), { argument: 'last', last }),
    }),
    interrupts: t.field({
      type: [InterruptRef],
      description: 'What the thread is waiting for a person to answer.',
      resolve: ({ id }, _args, { db }) =>
        db.interrupt.findMany({ where: { threadId: id, pending: true }, orderBy: { seq: 'asc' } }),
    }),
    error: t.field({
      type: RunErrorRef,
      nullable: true,
      description: 'Why status is ERROR.',
      resolve: ({ status, error }) => (status === 'ERROR' ? shownError(error) : null),
    }),
    state: t.field({
      type: CheckpointRef,
      nullable: true,
      description: 'The state now, or as it was at a checkpoint; null where there is none.',
      args: {
        checkpointId: t.arg.id(),
        checkpointNamespace: t.arg.string({
          required: true,
          defaultValue: '',
          description: "Empty for the graph itself; a subgraph's path otherwise.",
        }),
      },
      resolve: (thread, { checkpointId, checkpointNamespace: namespace }, app) => {
        if (checkpointId == null && namespace === '') return currentState(app, thread);
        const id = checkpointId == null ? undefined : parseUuid('checkpointId', checkpointId);
        return findState(app, thread.id, { namespace, checkpointId: id });
      },
    }),
    history: t.field({
      type: Checkpoints,
      description: 'Every state the thread has been in, newest first, all branches.',
      args: {
        ...forwardArgs(t),
        olderThan: t.arg.id({ description: 'Only checkpoints older than this one.' }),
        filter: t.arg({ type: CheckpointFilter }),
      },
      resolve: ({ id }, { filter, ...args }, app) =>
        readHistory(app, id, { ...args, filter: filter ?? { namespace: '' } }),
    }),
    storageBytes: t.float({
      description: 'Bytes of checkpoints, writes and values that the thread keeps.',
      resolve: ({ id }, _args, app) => storageBytes(app, id),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description:
        'When its metadata changed, its state was edited, or a run was accepted or ended.',
    }),
  }),
});

builder.objectField(CheckpointRef, 'thread', (t) =>
  t.field({
    type: ThreadRef,
    resolve: ({ row }, _args, { db }) =>
      db.thread.findUniqueOrThrow({ where: { id: row.threadId } }),
  }),
);

builder.prismaObjectField(InterruptRef, 'thread', (t) => t.relation('thread'));

const ThreadFilter = builder.inputType('ThreadFilter', {
  description: 'All of what is given must hold.',
  fields: (t) => ({
    ids: t.idList({ description: '1 to 100.' }),
    status: t.field({ type: [ThreadStatus], description: 'One of these.' }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Contained in the thread's metadata, as PostgreSQL's jsonb @> means it.",
    }),
    graphId: t.id({ description: 'The graph of its last run, or the one that made its state.' }),
  }),
});

const ThreadOrderField = builder.enumType('ThreadOrderField', {
  description:
    'Threads that are alike in the field are ordered by id. Under STATUS and UPDATED_AT a thread that changes between two pages moves: it may come twice, or not at all.',
  values: {
    ID: {},
    STATUS: { description: 'IDLE, BUSY, INTERRUPTED, ERROR.' },
    CREATED_AT: {},
    UPDATED_AT: {},
  } as const,
});

const ThreadOrder = builder.inputType('ThreadOrder', {
  fields: (t) => ({
    field: t.field({ type: ThreadOrderField, required: true, defaultValue: 'CREATED_AT' }),
    direction: t.field({ type: OrderDirection, required: true, defaultValue: 'DESC' }),
  }),
});

const Threads = connectionOf(ThreadRef, 'Thread', { totalCount: true });

builder.queryField('thread', (t) =>
  t.field({
    type: ThreadRef,
    nullable: true,
    description: 'Null where there is none.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => showThread(app, parseUuid('id', id)),
  }),
);

builder.queryField('threads', (t) =>
  t.field({
    type: Threads,
    description: 'Search. Newest first unless orderBy says otherwise.',
    args: {
      filter: t.arg({ type: ThreadFilter }),
      orderBy: t.arg({ type: ThreadOrder }),
      ...pageArgs(t),
    },
    resolve: (_root, { filter, ...args }, app) => searchThreads(app, filter ?? {}, args),
  }),
);

const PendingInterrupts = connectionOf(InterruptRef, 'Interrupt', { totalCount: true });

builder.queryField('pendingInterrupts', (t) =>
  t.field({
    type: PendingInterrupts,
    description: 'Everything that waits for a person, oldest first, over all threads.',
    args: {
      graphId: t.arg.id({ description: 'Of threads whose last run was of this graph.' }),
      metadata: t.arg({
        type: 'JSONObject',
        description: "Contained in the thread's metadata, as PostgreSQL's jsonb @> means it.",
      }),
      ...forwardArgs(t),
    },
    resolve: (_root, { graphId, metadata, ...page }, app) =>
      listPendingInterrupts(app, { graphId, metadata }, page),
  }),
);

const GotoInput = builder.inputType('GotoInput', {
  description: 'With input, the node gets that input instead of the state.',
  fields: (t) => ({
    node: t.string({ required: true }),
    input: t.field({ type: 'JSON' }),
  }),
});

const ResumeInput = builder.inputType('ResumeInput', {
  description: 'An answer to a question.',
  fields: (t) => ({
    interruptId: t.id({
      description: 'May be left out only where exactly one interrupt is pending.',
    }),
    value: t.field({
      type: 'JSON',
      description: 'What interrupt() gives the node; null is an answer too.',
    }),
  }),
});

export const CommandInput = builder.inputType('CommandInput', {
  description: 'What a person, or a node, tells the graph beside its input.',
  fields: (t) => ({
    resume: t.field({
      type: [ResumeInput],
      description:
        'Answers, 1 to 100: some or all of what is pending. Of a run only; CONFLICT where one of the questions is not pending, THREAD_BUSY while a run is due or running.',
    }),
    update: t.field({ type: 'JSON', description: 'An update of the state, through its reducers.' }),
    goto: t.field({ type: [GotoInput], description: 'The nodes to run next.' }),
  }),
});

const StateUpdateInput = builder.inputType('StateUpdateInput', {
  description: 'Give values or a command.',
  fields: (t) => ({
    values: t.field({
      type: 'JSON',
      description: 'Goes through the reducers. Null with asNode: the node is taken to have run.',
    }),
    asNode: t.string({
      description:
        'The node as which the update is made; its edges decide what is next. Also __input__ (the graph is given its input), __start__, __end__ (with null: nothing is next) and __copy__ (a fork). May be left out where only one node can be meant.',
    }),
    command: t.field({ type: CommandInput }),
  }),
});

const SuperstepInput = builder.inputType('SuperstepInput', {
  description: 'One round of updates, 1 to 100. It makes one checkpoint.',
  fields: (t) => ({ updates: t.field({ type: [StateUpdateInput], required: true }) }),
});

const CreateThreadInput = builder.inputType('CreateThreadInput', {
  fields: (t) => ({
    id: t.id({ description: 'A UUID; one is made where it is not given.' }),
    metadata: t.field({ type: 'JSONObject', description: 'What clients keep with the thread.' }),
    graphId: t.id({
      description: 'The graph that applies the supersteps; also kept as metadata.graph_id.',
    }),
    supersteps: t.field({
      type: [SuperstepInput],
      description:
        'State updates that build the first state, one checkpoint each, 1 to 100. All of them or none.',
    }),
    ifExists: t.field({
      type: IfExists,
      required: true,
      defaultValue: 'RAISE',
      description: 'DO_NOTHING gives the thread that has the id, as it is.',
    }),
  }),
});

builder.mutationField('createThread', (t) =>
  t.field({
    type: ThreadRef,
    description: 'Makes a thread: empty, or with the state that supersteps build.',
    args: { input: t.arg({ type: CreateThreadInput }) },
    resolve: (_root, { input }, app) => createThread(app, input ?? { ifExists: 'RAISE' }),
  }),
);

builder.mutationField('copyThread', (t) =>
  t.field({
    type: ThreadRef,
    description:
      'A thread of its own with the same state and history, as they are now. Runs are not copied; open questions get ids of their own, and so do those whose answer no node of a waiting or running run has used.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => copyThread(app, id),
  }),
);

const UpdateThreadInput = builder.inputType('UpdateThreadInput', {
  description: 'Merged into the metadata, key by key; a null value removes the key.',
  fields: (t) => ({ metadata: t.field({ type: 'JSONObject', required: true }) }),
});

builder.mutationField('updateThread', (t) =>
  t.field({
    type: ThreadRef,
    description: "Changes the thread's metadata; its state stays.",
    args: {
      id: t.arg.id({ required: true }),
      input: t.arg({ type: UpdateThreadInput, required: true }),
    },
    resolve: (_root, { id, input }, app) => updateThread(app, id, input),
  }),
);

const UpdateThreadStateInput = builder.inputType('UpdateThreadStateInput', {
  fields: (t) => ({
    values: t.field({
      type: 'JSON',
      description:
        'Goes through the reducers. Null with asNode: the node is taken to have run. Null without: the state is taken up again as it is.',
    }),
    asNode: t.string({
      description:
        'The node as which the update is made; its edges decide what is next. Also __input__, __start__, __end__ and __copy__, as in StateUpdateInput. Left out: the node that ran last; refused where several ran side by side.',
    }),
    checkpointId: t.id({ description: 'The checkpoint to go on from; the newest by default.' }),
    checkpointNamespace: t.string({
      required: true,
      defaultValue: '',
      description: "Empty for the graph itself; a subgraph's path otherwise.",
    }),
  }),
});

builder.mutationField('updateThreadState', (t) =>
  t.field({
    type: CheckpointRef,
    description:
      'Writes a state by hand: a new checkpoint, on top of the newest or of the one named, where the thread goes on. Questions asked in the state that it replaces are closed. THREAD_BUSY while a run is due or running.',
    args: {
      id: t.arg.id({ required: true }),
      input: t.arg({ type: UpdateThreadStateInput, required: true }),
    },
    resolve: (_root, { id, input }, app) => updateThreadState(app, id, input),
  }),
);

builder.mutationField('deleteThread', (t) =>
  t.id({
    description:
      'The thread with its runs, events and checkpoints. Runs that have not ended are cancelled.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => deleteThread(app, id),
  }),
);

builder.subscriptionField('threadChanged', (t) =>
  t.field({
    type: ThreadRef,
    description:
      'With ids (at most 100): each thread as it is now, then each time its status, metadata or state changed; completes when all of them are deleted. Without: every thread that changes. Changes that follow each other quickly may be told as one, by the newest; without ids, that holds for all steps of a run.',
    args: { ids: t.arg.idList() },
    subscribe: (_root, { ids }, app) => watchThreads(app, ids),
    resolve: (thread) => thread,
  }),
);
