import type { InputFieldBuilder } from '@pothos/core';
import { builder } from '../graphql/builder.ts';
import { CommandInput } from '../threads/schema-mutations.ts';
import { cancelRun, cancelRuns } from './cancel.ts';
import { createRun, createRuns } from './create.ts';
import { deleteRun } from './delete.ts';
import { ASSISTANT_ID, MultitaskStrategy, RunFilter, RunRef, StreamMode } from './schema.ts';
import { workAndWait } from './wait.ts';

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

type InputFields = InputFieldBuilder<(typeof builder)['$inferSchemaTypes'], 'InputObject'>;

/** What a run executes, and from where. */
const work = (t: InputFields) => ({
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
  editMessageId: t.id({
    description:
      'messageId of a message in the current state, instead of checkpointId: the run starts from the checkpoint before the message (Message.checkpointBefore), and the thread continues on the new branch. The input has the edited message. With the id of an answer and input null, the graph answers again. The messages of one step are replaced together.',
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
});

/** How the server handles a run. */
const handling = (t: InputFields) => ({
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
});

export const CreateRunInput = builder.inputType('CreateRunInput', {
  fields: (t) => ({ ...work(t), ...handling(t) }),
});

builder.mutationField('createRun', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description:
      'Creates a run and returns at once. With wait: true it returns when the run has ended with any status, or after WAIT_SECONDS (default 300) with the unfinished run; it fails with SERVICE_UNAVAILABLE if too many requests wait. Subscribe to runEvents to follow the run.',
    args: {
      input: t.arg({ type: CreateRunInput, required: true }),
      wait: t.arg.boolean({ required: true, defaultValue: false }),
    },
    resolve: async (_root, { input, wait }, app) => {
      if (!wait) return createRun(app, app.viewer, input);
      const { run, ended } = await workAndWait(app, () => createRun(app, app.viewer, input));
      return { ...ended, isNew: run.isNew };
    },
  }),
);

builder.mutationField('createRuns', (t) =>
  t.field({
    type: [RunRef],
    nullable: true,
    description: 'Creates 1 to 100 runs in the given order, all or none.',
    args: { inputs: t.arg({ type: [CreateRunInput], required: true }) },
    resolve: (_root, { inputs }, app) => createRuns(app, app.viewer, inputs),
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
    nullable: true,
    description:
      'Requests the cancellation of a run. Returns when the request is stored, or with wait: true when the run has stopped. CONFLICT if the run has already ended.',
    args: {
      id: t.arg.id({ required: true }),
      action: t.arg({ type: CancelAction, required: true, defaultValue: 'KEEP' }),
      wait: t.arg.boolean({ required: true, defaultValue: false }),
      reason: t.arg.string({
        description: 'For Run.cancelReason. At most 1,000 characters; only with KEEP.',
      }),
    },
    resolve: async (_root, { id, wait, ...how }, app) => {
      const cancel = () => cancelRun(app, app.viewer, id, how);
      return wait ? (await workAndWait(app, cancel)).ended : cancel();
    },
  }),
);

builder.mutationField('cancelRuns', (t) =>
  t.field({
    type: [RunRef],
    nullable: true,
    description:
      'Cancels all unfinished runs matching the filter, 100 at a time; returns the first 100 when all requests are stored. After a failure midway, some runs are already cancelled: repeat the request. The filter must not be empty.',
    args: {
      filter: t.arg({ type: RunFilter, required: true }),
      action: t.arg({ type: CancelAction, required: true, defaultValue: 'KEEP' }),
    },
    resolve: (_root, { filter, action }, app) => cancelRuns(app, app.viewer, filter, action),
  }),
);

builder.mutationField('deleteRun', (t) =>
  t.id({
    nullable: true,
    description:
      'Deletes an ended run with its events and returns its id; its checkpoints remain. CONFLICT if the run has not ended.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => deleteRun(app, app.viewer, id),
  }),
);
