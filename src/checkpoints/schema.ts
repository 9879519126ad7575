import { checkLength, readSize } from '../db/page.ts';
import { parseUuid } from '../db/uuid.ts';
import { BadInputError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import { connectionOf } from '../graphql/connection.ts';
import { STATE_COST } from '../graphql/cost.ts';
import type { ChannelSize } from './channel-sizes.ts';
import type { MessageVersion } from './message-versions.ts';
import { toPlain } from './plain.ts';
import './schema-blocks.ts';
import { MESSAGES_COST, MessageRef, messagesArgs, pageOfMessages } from './schema-messages.ts';
import { stateBefore, versionsOf } from './shown-messages.ts';
import { statesOf, valuesOf, writesOf, type State } from './states.ts';
import { subgraphState, taskError, type GraphTask } from './tasks.ts';

export const CheckpointSourceRef = builder.enumType('CheckpointSource', {
  description: 'Origin of a checkpoint.',
  values: {
    INPUT: { description: 'The run received its input.' },
    LOOP: { description: 'The nodes of a step finished.' },
    UPDATE: { description: 'A client edited the state.' },
    FORK: { description: 'The thread forked from an older checkpoint.' },
  } as const,
});

/** A task with its state. */
interface TaskOf {
  task: GraphTask;
  state: State;
}

export const CheckpointRef = builder.objectRef<State>('Checkpoint');

export const TaskRef = builder.objectRef<TaskOf>('Task').implement({
  description: 'An execution of a node, scheduled by a checkpoint.',
  fields: (t) => ({
    taskId: t.id({ resolve: ({ task }) => task.id }),
    name: t.string({ description: 'Name of the node.', resolve: ({ task }) => task.name }),
    path: t.stringList({
      description:
        'LangGraph path of the task. The first entry is __pregel_pull (edge) or __pregel_push (Send).',
      resolve: ({ task }) => (task.path ?? []).map(String),
    }),
    error: t.string({
      nullable: true,
      description: 'Error message of the task, cut at 2,000 characters.',
      resolve: ({ task }) => taskError(task),
    }),
    result: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Writes of the latest execution of the task; null before it finishes.',
      resolve: ({ task }) => toPlain(task.result ?? null),
    }),
    state: t.field({
      type: CheckpointRef,
      nullable: true,
      description: "State of the task's subgraph; null for a node without a subgraph.",
      resolve: ({ task, state }, _args, app) => subgraphState(app, task, state),
    }),
  }),
});

CheckpointRef.implement({
  description: 'A saved state of a thread.',
  fields: (t) => ({
    checkpointId: t.id({
      description: 'A time-ordered id. A copy of the thread keeps the ids of its checkpoints.',
      resolve: ({ row }) => row.checkpointId,
    }),
    threadId: t.id({ resolve: ({ row }) => row.threadId }),
    namespace: t.string({
      description: 'Empty for the root graph; otherwise the path of a subgraph.',
      resolve: ({ row }) => row.namespace,
    }),
    parentCheckpointId: t.id({ nullable: true, resolve: ({ row }) => row.parentId }),
    parent: t.field({
      type: CheckpointRef,
      nullable: true,
      description: 'The checkpoint before this checkpoint.',
      resolve: (state) => state.parent(),
    }),
    children: t.field({
      type: [CheckpointRef],
      description:
        'The checkpoints directly after this checkpoint, oldest first; several after a fork.',
      args: {
        first: t.arg.int({ required: true, defaultValue: 20, description: 'From 1 to 100.' }),
        after: t.arg.id({ description: 'checkpointId of a child; the page starts after it.' }),
      },
      resolve: async (state, { first, after }) =>
        childrenAfter(await state.children(), {
          first: readSize('first', first),
          after: after == null ? undefined : parseUuid('after', after),
        }),
    }),
    source: t.field({ type: CheckpointSourceRef, resolve: ({ row }) => row.source }),
    step: t.int({
      description: '-1 for the input, then 0, 1, 2 …',
      resolve: ({ row }) => row.step,
    }),
    runId: t.id({
      nullable: true,
      description: 'The run of this checkpoint; null if a client wrote it.',
      resolve: ({ row }) => row.runId,
    }),
    metadata: t.field({
      type: 'JSONObject',
      description:
        'LangGraph metadata of the checkpoint and metadata of its run, with run_id, graph_id, assistant_id and thread_id.',
      resolve: ({ row }) => ({ ...row.metadata, thread_id: row.threadId }),
    }),
    createdAt: t.field({ type: 'DateTime', resolve: ({ row }) => row.createdAt }),
  }),
});

const ChannelSizeRef = builder.objectRef<ChannelSize>('ChannelSize').implement({
  description: 'The size of a channel in a state.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name of the channel.' }),
    bytes: t.exposeFloat('bytes', { description: 'Bytes of the value as stored, mostly JSON.' }),
  }),
});

builder.objectFields(CheckpointRef, (t) => ({
  values: t.field({
    extensions: STATE_COST,
    type: 'JSON',
    description: 'Channel values of the graph, by channel name.',
    args: {
      channels: t.arg.stringList({
        description: 'Only these channels, 1 to 100. The server then reads only their values.',
      }),
    },
    resolve: (state, { channels }) => {
      if (!channels) return valuesOf(state);
      checkLength('channels', channels);
      return state.valuesOf(channels);
    },
  }),
  channels: t.field({
    type: [ChannelSizeRef],
    description:
      'The stored channels of the values with their sizes, the largest first. The server reads no values.',
    resolve: (state) => state.sizes(),
  }),
  messages: t.field({
    extensions: MESSAGES_COST,
    type: [MessageRef],
    description: 'Messages in the values, oldest first; empty if there are none.',
    args: messagesArgs(t),
    resolve: pageOfMessages,
  }),
  writes: t.field({
    extensions: STATE_COST,
    type: 'JSONObject',
    nullable: true,
    description:
      'Writes of each node in the step before this checkpoint, by node name; a list for several executions of a node. Null if unknown, as for an input.',
    resolve: writesOf,
  }),
  next: t.stringList({
    description: 'Nodes of the next step; empty when the graph has finished.',
    resolve: (state) => state.next(),
  }),
  ran: t.stringList({
    description:
      'Nodes of the step before this checkpoint, once for each task: their writes made it. Empty unless source is LOOP. With durability EXIT: the nodes of all steps of the run, each once.',
    resolve: (state) => state.ran(),
  }),
  tasks: t.field({
    extensions: STATE_COST,
    type: [TaskRef],
    description: 'Tasks of the next step, with their results so far.',
    resolve: async (state) =>
      (await state.snapshot()).tasks.map((task) => ({ task: task as TaskOf['task'], state })),
  }),
}));

builder.objectField(MessageRef, 'checkpointBefore', (t) =>
  t.field({
    type: CheckpointRef,
    nullable: true,
    description:
      'The state before the message, and before the input of its run: a run with input from it replaces the message and the messages after it. All versions of a message have the same checkpointBefore. Null if the thread begins with the message, or if the checkpoint is unknown (see createdAt).',
    resolve: (message, _args, app) => stateBefore(app, message),
  }),
);

const MessageVersionRef = builder.objectRef<MessageVersion>('MessageVersion').implement({
  description: 'A version of a message, on a branch of its own.',
  fields: (t) => ({
    newest: t.field({
      type: CheckpointRef,
      description:
        'The newest state after this version. With its checkpointId, updateThreadState continues the thread on this branch.',
      resolve: ({ newest }, _args, app) => statesOf(app, [newest])[0] as State,
    }),
    isCurrent: t.exposeBoolean('isCurrent', {
      description: 'The state of the message has this version.',
    }),
  }),
});

builder.objectField(MessageRef, 'versions', (t) =>
  t.field({
    type: [MessageVersionRef],
    description:
      'The versions of the message, oldest first, if edits or new answers made several: the branches after checkpointBefore. Messages of one step share their versions. Empty for a single version, if checkpointBefore is null, and if more than 10,000 checkpoints are newer than the first version.',
    resolve: (message, _args, app) => versionsOf(app, message),
  }),
);

/** A page of the children of a checkpoint. Throws BadInputError if `after` is not a child. */
function childrenAfter(
  children: readonly State[],
  { first, after }: { first: number; after: string | undefined },
): State[] {
  if (after === undefined) return children.slice(0, first);
  const index = children.findIndex(({ row }) => row.checkpointId === after);
  if (index < 0) throw new BadInputError('after', `${after} is not a child of this checkpoint.`);
  return children.slice(index + 1, index + 1 + first);
}

export const Checkpoints = connectionOf(CheckpointRef, 'Checkpoint', { totalCount: true });
