import { CheckpointRef } from '../checkpoints/schema.ts';
import { builder } from '../graphql/builder.ts';
import { IfExists } from '../graphql/if-exists.ts';
import { copyThread } from './copy.ts';
import { createThread } from './create.ts';
import { deleteThread } from './delete.ts';
import { updateThreadState } from './edit.ts';
import { ThreadRef } from './schema.ts';
import { updateThread } from './update.ts';

const GotoInput = builder.inputType('GotoInput', {
  description: 'With input, the node gets this input instead of the state.',
  fields: (t) => ({
    node: t.string({ required: true, description: 'A node, or `__end__` for none.' }),
    input: t.field({ type: 'JSON' }),
  }),
});

const ResumeInput = builder.inputType('ResumeInput', {
  description: 'An answer to an interrupt.',
  fields: (t) => ({
    interruptId: t.id({
      description: 'Required unless a single interrupt is pending.',
    }),
    value: t.field({
      type: 'JSON',
      description: 'Return value of interrupt() in the node; null is a valid answer.',
    }),
  }),
});

export const CommandInput = builder.inputType('CommandInput', {
  description: 'A LangGraph Command: answers to interrupts, a state update, a jump to nodes.',
  fields: (t) => ({
    resume: t.field({
      type: [ResumeInput],
      description:
        'Answers to some or all pending interrupts, 1 to 100; only for new runs. CONFLICT if an interrupt is not pending; THREAD_BUSY while a run is due or running. If the graph no longer has the interrupted node, the run ends in ERROR and the interrupt remains pending. An answer not matching the responseSchema also fails the run; the interrupt can be answered again.',
    }),
    update: t.field({
      type: 'JSON',
      description:
        'A state update, applied through the reducers. A key without a channel has no effect.',
    }),
    goto: t.field({ type: [GotoInput], description: 'Nodes of the next step.' }),
  }),
});

const StateUpdateInput = builder.inputType('StateUpdateInput', {
  description: 'Give values or a command.',
  fields: (t) => ({
    values: t.field({
      type: 'JSON',
      description: 'Applied through the reducers. Null with asNode: the node counts as executed.',
    }),
    asNode: t.string({
      description:
        'Apply the update as this node; its edges decide the next step. Special values: __input__ (the values are the input of the graph), __start__, __end__ (with null: no next step) and __copy__ (a fork). Optional if only a single node is possible.',
    }),
    command: t.field({ type: CommandInput }),
  }),
});

const SuperstepInput = builder.inputType('SuperstepInput', {
  description: 'A round of 1 to 100 updates. It creates a single checkpoint.',
  fields: (t) => ({ updates: t.field({ type: [StateUpdateInput], required: true }) }),
});

const CreateThreadInput = builder.inputType('CreateThreadInput', {
  fields: (t) => ({
    id: t.id({
      description: 'A UUID not used by any assistant, thread or run. Default: generated.',
    }),
    metadata: t.field({ type: 'JSONObject', description: 'Free metadata of the clients.' }),
    graphId: t.id({
      description: 'The graph to apply the supersteps; also stored as metadata.graph_id.',
    }),
    supersteps: t.field({
      type: [SuperstepInput],
      description:
        '1 to 100 supersteps to build the initial state, with a checkpoint each; all or none.',
    }),
    ifExists: t.field({
      type: IfExists,
      required: true,
      defaultValue: 'RAISE',
      description: 'DO_NOTHING returns an existing thread unchanged.',
    }),
  }),
});

builder.mutationField('createThread', (t) =>
  t.field({
    type: ThreadRef,
    nullable: true,
    description: 'Creates a thread, either empty or with a state from supersteps.',
    args: { input: t.arg({ type: CreateThreadInput }) },
    resolve: (_root, { input }, app) =>
      createThread(app, app.viewer, input ?? { ifExists: 'RAISE' }),
  }),
);

builder.mutationField('copyThread', (t) =>
  t.field({
    type: ThreadRef,
    nullable: true,
    description:
      'Creates an independent copy of the thread with its current state and history. Runs are not copied. Without checkpointId, pending interrupts get new ids, as do interrupts answered by a waiting or running run if no node has consumed the answer.',
    args: {
      id: t.arg.id({ required: true }),
      checkpointId: t.arg.id({
        description:
          'Copy only the branch up to this checkpoint of the root graph. The copy is IDLE: the step after the checkpoint has not begun, so it has no interrupts.',
      }),
    },
    resolve: (_root, { id, checkpointId }, app) => copyThread(app, app.viewer, id, checkpointId),
  }),
);

export const UpdateThreadInput = builder.inputType('UpdateThreadInput', {
  description: 'Merged into the metadata key by key; a null value removes its key.',
  fields: (t) => ({ metadata: t.field({ type: 'JSONObject', required: true }) }),
});

builder.mutationField('updateThread', (t) =>
  t.field({
    type: ThreadRef,
    nullable: true,
    description: "Changes the thread's metadata; the state remains unchanged.",
    args: {
      id: t.arg.id({ required: true }),
      input: t.arg({ type: UpdateThreadInput, required: true }),
    },
    resolve: (_root, { id, input }, app) => updateThread(app, app.viewer, id, input),
  }),
);

const UpdateThreadStateInput = builder.inputType('UpdateThreadStateInput', {
  fields: (t) => ({
    values: t.field({
      type: 'JSON',
      description:
        'Applied through the reducers. Null with asNode: the node counts as executed. Null without asNode: the new checkpoint copies the state unchanged.',
    }),
    asNode: t.string({
      description:
        'Apply the update as this node; its edges decide the next step. Special values as in StateUpdateInput: __input__, __start__, __end__ and __copy__. Default: the last executed node; BAD_USER_INPUT if several nodes ran in parallel.',
    }),
    checkpointId: t.id({ description: 'The checkpoint to continue from. Default: the newest.' }),
    checkpointNamespace: t.string({
      required: true,
      defaultValue: '',
      description: 'Empty for the root graph; otherwise the path of a subgraph.',
    }),
  }),
});

builder.mutationField('updateThreadState', (t) =>
  t.field({
    type: CheckpointRef,
    nullable: true,
    description:
      'Edits the state: creates a checkpoint on top of the newest or the given checkpoint. The thread continues from the new checkpoint. Pending interrupts of the replaced state are closed. THREAD_BUSY while a run is due or running.',
    args: {
      id: t.arg.id({ required: true }),
      input: t.arg({ type: UpdateThreadStateInput, required: true }),
    },
    resolve: (_root, { id, input }, app) => updateThreadState(app, app.viewer, id, input),
  }),
);

builder.mutationField('deleteThread', (t) =>
  t.id({
    nullable: true,
    description:
      'Deletes the thread with its runs, events and checkpoints, and returns its id. Unfinished runs are cancelled.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => deleteThread(app, app.viewer, id),
  }),
);
