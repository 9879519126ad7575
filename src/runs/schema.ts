import { assistantOfRun } from '../assistants/run-assistant.ts';
import { AssistantRef } from '../assistants/schema.ts';
import { MessageRef, TokenUsageRef } from '../checkpoints/schema-messages.ts';
import { CheckpointRef } from '../checkpoints/schema.ts';
import { entryOf } from '../checkpoints/shown-messages.ts';
import { findUsage } from '../checkpoints/usage.ts';
import { parseUuid } from '../db/uuid.ts';
import type { Run } from '../generated/prisma/client.ts';
import { builder, OrderDirection } from '../graphql/builder.ts';
import { connectionOf, pageArgs } from '../graphql/connection.ts';
import { STATE_COST } from '../graphql/cost.ts';
import { IS_NEW } from '../graphql/if-exists.ts';
import { NodeRef } from '../graphql/node.ts';
import { InterruptRef } from '../interrupts/schema.ts';
import { findInterruptsOfRun } from '../interrupts/search.ts';
import { RunErrorRef, shownError, ThreadRef } from '../threads/schema.ts';
import { threadOfRun } from '../threads/state.ts';
import { findLastRun } from './last.ts';
import { outputOf } from './output.ts';
import { countRuns, findNamedRun, findRun, searchRuns } from './search.ts';

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

export const MultitaskStrategy = builder.enumType('MultitaskStrategy', {
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

export const StreamMode = builder.enumType('StreamMode', {
  description: 'Kinds of recorded events of a run.',
  values: {
    VALUES: { description: 'The full state after each step.' },
    UPDATES: { description: 'Writes of each node.' },
    MESSAGES: { description: 'Messages while a model writes them, token by token.' },
    CUSTOM: { description: 'Data from the stream writers of nodes.' },
    TASKS: { description: 'The start and the end of each task.' },
    CHECKPOINTS: { description: 'Each new checkpoint.' },
    DEBUG: {
      description: 'Each checkpoint, and the start and the end of each task, with the step.',
    },
    TOOLS: { description: 'The start, the partial results and the end of each call of a tool.' },
    EVENTS: {
      description:
        'All events of LangChain, as from `streamEvents` version v2, also from subgraphs. They repeat the input and the output of each node, so they are large.',
    },
  } as const,
});

export const RunRef = builder.prismaObject('Run', {
  description: 'An execution of an assistant on a thread.',
  interfaces: [NodeRef],
  fields: (t) => ({
    isNew: t.boolean(IS_NEW),
    status: t.expose('status', { type: RunStatus }),
    thread: t.field({
      type: ThreadRef,
      nullable: true,
      description: 'Null for a stateless run after deletion of its thread.',
      resolve: (run, _args, app) => threadOfRun(app, app.viewer, run),
    }),
    threadId: t.exposeID('threadId', { nullable: true }),
    assistant: t.field({
      type: AssistantRef,
      description:
        'A deleted assistant appears with its last values. NOT_FOUND if handlers of the project hide the assistant; assistantId remains readable.',
      resolve: (run, _args, app) => assistantOfRun(app, app.viewer, run),
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
  }),
});

builder.prismaObjectFields(RunRef, (t) => ({
  output: t.field({
    extensions: STATE_COST,
    type: 'JSON',
    nullable: true,
    description: 'Final state values, also after ERROR or CANCELLED; null before the run ends.',
    resolve: (run, _args, app) => outputOf(app, run),
  }),
  interrupts: t.field({
    type: [InterruptRef],
    description: 'Interrupts of the run, pending or answered.',
    resolve: (run, _args, app) => findInterruptsOfRun(app, run),
  }),
  error: t.field({
    type: RunErrorRef,
    nullable: true,
    description: 'Reason for status ERROR.',
    resolve: ({ error }) => shownError(error),
  }),
  cancelReason: t.exposeString('cancelReason', {
    nullable: true,
    description: 'The reason of a cancellation; null without one.',
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
  durationMs: t.float({
    nullable: true,
    description:
      'Milliseconds from startedAt to finishedAt, over all attempts; null before the end, and for a run that never started.',
    resolve: ({ startedAt, finishedAt }) =>
      startedAt && finishedAt ? finishedAt.getTime() - startedAt.getTime() : null,
  }),
  usage: t.field({
    extensions: { cost: 3 },
    type: TokenUsageRef,
    nullable: true,
    description:
      'Token counts of the AI messages that the run added to `messages` or changed there, in the graph or in its subgraphs. A run on a thread also counts messages that it removed later; a run whose thread is deleted with it counts only those in its output. A messageId counts once. Calls of models whose answer does not enter `messages`, and messages of more than 1 MB, do not count. Null if no message has counts.',
    resolve: (run, _args, app) => findUsage(app, run),
  }),
}));

builder.objectField(CheckpointRef, 'run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description:
      'The run of this checkpoint; null if a client wrote it, or after deletion of the run.',
    resolve: ({ row: { runId } }, _args, app) =>
      runId === null ? null : findNamedRun(app, app.viewer, runId),
  }),
);

builder.objectField(MessageRef, 'run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'The run with runId; null after its deletion.',
    async resolve(message, _args, app) {
      const runId = (await entryOf(app, message))?.runId;
      return runId ? findNamedRun(app, app.viewer, runId) : null;
    },
  }),
);

builder.prismaObjectField(InterruptRef, 'run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'The interrupted run; null after its deletion.',
    resolve: ({ runId }, _args, app) =>
      runId === null ? null : findNamedRun(app, app.viewer, runId),
  }),
);

const RunOrderField = builder.enumType('RunOrderField', {
  description: 'A run that ends between two pages in the order FINISHED_AT may be left out.',
  values: {
    CREATED_AT: { description: 'The order in which the runs were accepted.' },
    FINISHED_AT: { description: 'The order of their ends, of ended runs only.' },
  } as const,
});

const RunOrder = builder.inputType('RunOrder', {
  fields: (t) => ({
    field: t.field({ type: RunOrderField, required: true, defaultValue: 'CREATED_AT' }),
    direction: t.field({ type: OrderDirection, required: true, defaultValue: 'DESC' }),
  }),
});

const Runs = connectionOf(RunRef, 'Run', { totalCount: true });

builder.prismaObjectField(ThreadRef, 'runs', (t) =>
  t.field({
    type: Runs,
    description: 'Default order: newest first.',
    args: {
      ...pageArgs(t),
      status: t.arg({ type: [RunStatus], description: 'Any of these.' }),
      orderBy: t.arg({ type: RunOrder }),
    },
    resolve: ({ id }, { status, ...page }, app) =>
      searchRuns(app, app.viewer, { threadId: id, status }, { ...page, owner: id }),
  }),
);

builder.prismaObjectField(ThreadRef, 'lastRun', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'The run that was created last; null without runs.',
    resolve: ({ id }, _args, app) => findLastRun(app, id),
  }),
);

export const ASSISTANT_ID = "An assistant's UUID, or a graph's name for its default assistant.";

export const RunFilter = builder.inputType('RunFilter', {
  description: 'A run must match all given conditions.',
  fields: (t) => ({
    ids: t.idList({ description: '1 to 100 UUIDs.' }),
    threadId: t.id(),
    assistantId: t.id({ description: ASSISTANT_ID }),
    graphId: t.id({ description: 'The graph that the run executes.' }),
    status: t.field({ type: [RunStatus], description: 'Any of these.' }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Must be contained in the run's metadata (PostgreSQL `jsonb @>`).",
    }),
    createdAfter: t.field({ type: 'DateTime', description: 'Created at this time or later.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Created earlier than this time.' }),
    finishedAfter: t.field({ type: 'DateTime', description: 'Ended at this time or later.' }),
    finishedBefore: t.field({ type: 'DateTime', description: 'Ended earlier than this time.' }),
  }),
});

builder.queryField('run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'Null if none exists.',
    args: { id: t.arg.id({ required: true }) },
    async resolve(_root, { id }, app) {
      const run = await findRun(app, app.viewer, parseUuid('id', id));
      return run?.tombstone ? null : run;
    },
  }),
);

builder.queryField('runs', (t) =>
  t.field({
    type: Runs,
    nullable: true,
    description: 'Searches runs. Default order: newest first.',
    args: {
      filter: t.arg({ type: RunFilter }),
      orderBy: t.arg({ type: RunOrder }),
      ...pageArgs(t),
    },
    resolve: (_root, { filter, ...page }, app) => searchRuns(app, app.viewer, filter ?? {}, page),
  }),
);

const RunStatusCount = builder
  .objectRef<{ status: Run['status']; count: number }>('RunStatusCount')
  .implement({
    description: 'The number of runs with a status.',
    fields: (t) => ({
      status: t.expose('status', { type: RunStatus }),
      count: t.exposeInt('count', { description: 'Exact up to 10,000; 10,001 means more.' }),
    }),
  });

builder.queryField('runCounts', (t) =>
  t.field({
    type: [RunStatusCount],
    nullable: true,
    description: 'The number of runs of the filter with each status, also zero.',
    args: { filter: t.arg({ type: RunFilter }) },
    resolve: (_root, { filter }, app) => countRuns(app, app.viewer, filter ?? {}),
  }),
);
