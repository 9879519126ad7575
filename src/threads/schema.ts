import { readHistory } from '../checkpoints/history.ts';
import {
  MESSAGES_COST,
  MessageRef,
  messagesArgs,
  MessageTypeRef,
  pageOfMessages,
} from '../checkpoints/schema-messages.ts';
import { CheckpointRef, Checkpoints, CheckpointSourceRef } from '../checkpoints/schema.ts';
import { findPreview, type Preview } from '../checkpoints/preview.ts';
import { findState, valuesOf } from '../checkpoints/states.ts';
import { parseUuid } from '../db/uuid.ts';
import { readErrorSummary, type ErrorSummary } from '../errors.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { builder, OrderDirection } from '../graphql/builder.ts';
import { connectionOf, pageArgs } from '../graphql/connection.ts';
import { STATE_COST } from '../graphql/cost.ts';
import { IS_NEW } from '../graphql/if-exists.ts';
import { NodeRef } from '../graphql/node.ts';
import { InterruptRef } from '../interrupts/schema.ts';
import { pendingInterruptsOf } from '../interrupts/search.ts';
import { isRecord } from '../json.ts';
import { lastConfig } from './config.ts';
import { countThreads, searchThreads } from './search.ts';
import { currentState, showThread, storageBytes, threadOfCheckpoint } from './state.ts';

const ThreadStatus = builder.enumType('ThreadStatus', {
  description: 'Current condition of a thread.',
  values: {
    IDLE: { description: 'No run is running or due.' },
    BUSY: { description: 'A run is running or due.' },
    INTERRUPTED: { description: 'The last run stopped at an interrupt or a breakpoint.' },
    ERROR: { description: 'The last run failed; the state is from before the failure.' },
  } as const,
});

export const RunErrorRef = builder.objectRef<ErrorSummary>('RunError').implement({
  description: 'The failure of a run.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Class of the error.' }),
    message: t.exposeString('message', {
      description: 'Message of the error, cut at 2,000 characters.',
    }),
  }),
});

/** A stored error as the schema shows it. */
export function shownError(error: unknown): ErrorSummary | null {
  return isRecord(error) ? readErrorSummary(error) : null;
}

const CheckpointFilter = builder.inputType('CheckpointFilter', {
  description: 'A checkpoint must match all given conditions.',
  fields: (t) => ({
    namespace: t.string({
      required: true,
      defaultValue: '',
      description: 'Empty for the root graph; otherwise the path of a subgraph.',
    }),
    source: t.field({ type: [CheckpointSourceRef], description: 'Any of these.' }),
    step: t.int({ description: '-1 for the input, then 0, 1, 2 …' }),
    runId: t.id({ description: 'The run of the checkpoint.' }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Must be contained in the checkpoint's metadata (PostgreSQL `jsonb @>`).",
    }),
  }),
});

export const ThreadRef = builder.prismaObject('Thread', {
  description:
    'Durable state of a conversation. It is independent of assistants: each run may use a different assistant on the same state.',
  interfaces: [NodeRef],
  fields: (t) => ({
    isNew: t.boolean(IS_NEW),
    status: t.expose('status', { type: ThreadStatus }),
    graphId: t.exposeID('graphId', {
      nullable: true,
      description: 'The graph of the last run, or of the initial supersteps; null before both.',
    }),
    metadata: t.field({
      type: 'JSONObject',
      description: 'Free metadata of the clients, with graph_id and assistant_id of the last run.',
      resolve: ({ metadata }) => metadata,
    }),
    error: t.field({
      type: RunErrorRef,
      nullable: true,
      description: 'Reason for status ERROR.',
      resolve: ({ status, error }) => (status === 'ERROR' ? shownError(error) : null),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Time of the last metadata change, state edit, accepted run or ended run.',
    }),
    stateUpdatedAt: t.expose('stateUpdatedAt', {
      type: 'DateTime',
      description:
        'Time of the last state edit or ended run; of the creation for a thread without both.',
    }),
    config: t.field({
      type: 'JSONObject',
      description:
        "Configuration of the last run: its assistant's with the request's on top. Without keys of LangGraph and of access control. Empty before the first run.",
      resolve: ({ id }, _args, app) => lastConfig(app, id),
    }),
  }),
});

const ThreadPreview = builder.objectRef<Preview>('ThreadPreview').implement({
  description:
    'What a list of threads shows of a conversation. Texts are cut at 200 characters. A message of more than 64 KB counts as a message without text.',
  fields: (t) => ({
    title: t.exposeString('title', {
      nullable: true,
      description:
        'Text of the first human message; null if there is none among the first messages.',
    }),
    lastText: t.string({
      nullable: true,
      description: 'The newest text of a message; null if the last messages have none.',
      resolve: ({ last }) => last?.text,
    }),
    lastType: t.field({
      type: MessageTypeRef,
      nullable: true,
      description: 'Role of the author of lastText.',
      resolve: ({ last }) => last?.type,
    }),
  }),
});

builder.prismaObjectFields(ThreadRef, (t) => ({
  preview: t.field({
    extensions: { cost: 3 },
    type: ThreadPreview,
    nullable: true,
    description:
      'The ends of the conversation in the newest checkpoint, read without the state: cheap in a list of threads. Null without messages, or if the graph does not store `messages` as a list.',
    resolve: ({ id }, _args, app) => findPreview(app, id),
  }),
  values: t.field({
    extensions: STATE_COST,
    type: 'JSON',
    description: "The current state's values; an empty object before the first checkpoint.",
    resolve: async (thread, _args, app) => valuesOf(await currentState(app, thread)),
  }),
  messages: t.field({
    extensions: MESSAGES_COST,
    type: [MessageRef],
    description: 'Messages of the current state, oldest first; empty if there are none.',
    args: messagesArgs(t),
    resolve: async (thread, args, app) => pageOfMessages(await currentState(app, thread), args),
  }),
  interrupts: t.field({
    type: [InterruptRef],
    description: 'Pending interrupts of the thread.',
    resolve: ({ id }, _args, app) => pendingInterruptsOf(app, [id]),
  }),
  state: t.field({
    type: CheckpointRef,
    nullable: true,
    description: 'The current state, or the state at a checkpoint; null if none exists.',
    args: {
      checkpointId: t.arg.id(),
      checkpointNamespace: t.arg.string({
        required: true,
        defaultValue: '',
        description: 'Empty for the root graph; otherwise the path of a subgraph.',
      }),
    },
    resolve: (thread, { checkpointId, checkpointNamespace: namespace }, app) => {
      if (checkpointId == null && namespace === '') return currentState(app, thread);
      const id = checkpointId == null ? undefined : parseUuid('checkpointId', checkpointId);
      return findState(app, thread.id, { namespace, checkpointId: id });
    },
  }),
}));

builder.prismaObjectFields(ThreadRef, (t) => ({
  history: t.field({
    type: Checkpoints,
    description: 'All states of the thread in all branches, newest first.',
    args: {
      ...pageArgs(t),
      olderThan: t.arg.id({ description: 'Only checkpoints older than this checkpoint.' }),
      filter: t.arg({ type: CheckpointFilter }),
    },
    resolve: ({ id }, { filter, ...args }, app) =>
      readHistory(app, id, { ...args, filter: filter ?? { namespace: '' } }),
  }),
  storageBytes: t.float({
    description: 'Stored bytes of checkpoints, writes and values of the thread.',
    resolve: ({ id }, _args, app) => storageBytes(app, id),
  }),
}));

builder.objectField(CheckpointRef, 'thread', (t) =>
  t.field({
    type: ThreadRef,
    resolve: ({ row }, _args, app) => threadOfCheckpoint(app, row),
  }),
);

builder.prismaObjectField(InterruptRef, 'thread', (t) => t.relation('thread'));

export const ThreadFilter = builder.inputType('ThreadFilter', {
  description: 'A thread must match all given conditions.',
  fields: (t) => ({
    ids: t.idList({ description: '1 to 100 UUIDs.' }),
    status: t.field({ type: [ThreadStatus], description: 'Any of these.' }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Must be contained in the thread's metadata (PostgreSQL `jsonb @>`).",
    }),
    values: t.field({
      type: 'JSONObject',
      description:
        'Must be contained in `Thread.values` (PostgreSQL `jsonb @>`); at most 100 values. The server reads the state of each thread that meets the other conditions, in the order of the list, and refuses the request if 1,000 states are not enough. Not for subscriptions.',
    }),
    graphId: t.id({ description: 'The graph of the last run, or of the initial supersteps.' }),
    createdAfter: t.field({ type: 'DateTime', description: 'Created at this time or later.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Created earlier than this time.' }),
    updatedAfter: t.field({ type: 'DateTime', description: 'updatedAt is this time or later.' }),
    updatedBefore: t.field({ type: 'DateTime', description: 'updatedAt is earlier.' }),
    text: t.string({
      description:
        'Each word must begin a word of a text value in the metadata, such as a title, at any depth: `par` finds `Trip to Paris`. Case-insensitive, without stemming; at most 200 characters. Keys, graph_id, assistant_id and metadata of more than 256 KB are not searched.',
    }),
  }),
});

const ThreadOrderField = builder.enumType('ThreadOrderField', {
  description:
    'Threads with equal values are ordered by id. STATUS, UPDATED_AT and STATE_UPDATED_AT can change between two pages: a thread may then appear twice or not at all.',
  values: {
    ID: {},
    STATUS: { description: 'Order of the values: IDLE, BUSY, INTERRUPTED, ERROR.' },
    CREATED_AT: {},
    UPDATED_AT: {},
    STATE_UPDATED_AT: {},
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
    description: 'Null if none exists.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => showThread(app, app.viewer, parseUuid('id', id)),
  }),
);

builder.queryField('threads', (t) =>
  t.field({
    type: Threads,
    nullable: true,
    description: 'Searches threads. Default order: newest first.',
    args: {
      filter: t.arg({ type: ThreadFilter }),
      orderBy: t.arg({ type: ThreadOrder }),
      ...pageArgs(t),
    },
    resolve: (_root, { filter, ...args }, app) =>
      searchThreads(app, app.viewer, filter ?? {}, args),
  }),
);

const ThreadStatusCount = builder
  .objectRef<{ status: Thread['status']; count: number }>('ThreadStatusCount')
  .implement({
    description: 'The number of threads with a status.',
    fields: (t) => ({
      status: t.expose('status', { type: ThreadStatus }),
      count: t.exposeInt('count', { description: 'Exact up to 10,000; 10,001 means more.' }),
    }),
  });

builder.queryField('threadCounts', (t) =>
  t.field({
    type: [ThreadStatusCount],
    nullable: true,
    description: 'The number of threads of the filter with each status, also zero.',
    args: { filter: t.arg({ type: ThreadFilter }) },
    resolve: (_root, { filter }, app) => countThreads(app, app.viewer, filter ?? {}),
  }),
);
