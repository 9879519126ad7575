import { CheckpointRef, TaskRef } from '../checkpoints/schema.ts';
import { parseUuid } from '../db/uuid.ts';
import { builder } from '../graphql/builder.ts';
import { connectionOf, pageArgs } from '../graphql/connection.ts';
import { isRecord } from '../json.ts';
import { findInterrupt, interruptsOf, listPendingInterrupts } from './search.ts';

export const InterruptRef = builder.prismaObject('Interrupt', {
  description:
    'A call of interrupt() in a graph: it requests an answer from outside, usually from a person.',
  fields: (t) => ({
    id: t.exposeID('id', {
      description:
        'Unique over all threads. Each interrupt() call has its own id, also within the same node.',
    }),
    value: t.expose('value', {
      type: 'JSON',
      nullable: true,
      description: 'Value passed to interrupt().',
    }),
    responseSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'JSON Schema of the answer, if the graph supplied a schema.',
      resolve: ({ responseSchema }) => (isRecord(responseSchema) ? responseSchema : null),
    }),
    node: t.exposeString('node', { description: 'Name of the interrupted node.' }),
    threadId: t.exposeID('threadId'),
    checkpointId: t.exposeID('checkpointId', {
      description: 'Checkpoint of the interrupted node, in checkpointNamespace.',
    }),
    checkpointNamespace: t.exposeString('namespace', {
      description: 'Empty for the root graph; otherwise the path of a subgraph.',
    }),
    isPending: t.exposeBoolean('pending', {
      description: 'False after an answer, and after the thread continued without an answer.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});

builder.objectField(TaskRef, 'interrupts', (t) =>
  t.field({
    type: [InterruptRef],
    description: 'Interrupts of the task.',
    resolve: ({ task, state }, _args, app) => interruptsOf(app, state.row, [task]),
  }),
);

builder.objectField(CheckpointRef, 'interrupts', (t) =>
  t.field({
    type: [InterruptRef],
    description: 'Interrupts of all tasks, including those of subgraphs.',
    resolve: async (state, _args, app) =>
      interruptsOf(app, state.row, (await state.snapshot()).tasks),
  }),
);

const PendingInterrupts = connectionOf(InterruptRef, 'Interrupt', { totalCount: true });

builder.queryField('interrupt', (t) =>
  t.field({
    type: InterruptRef,
    nullable: true,
    description: 'An interrupt, pending or not. Null if none exists.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => findInterrupt(app, app.viewer, parseUuid('id', id)),
  }),
);

builder.queryField('pendingInterrupts', (t) =>
  t.field({
    type: PendingInterrupts,
    nullable: true,
    description: 'Pending interrupts of all threads, oldest first.',
    args: {
      graphId: t.arg.id({ description: 'Only threads with this graph in their last run.' }),
      metadata: t.arg({
        type: 'JSONObject',
        description: "Must be contained in the thread's metadata (PostgreSQL `jsonb @>`).",
      }),
      ...pageArgs(t),
    },
    resolve: (_root, { graphId, metadata, ...page }, app) =>
      listPendingInterrupts(app, app.viewer, { graphId, metadata }, page),
  }),
);
