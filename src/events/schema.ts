import { CheckpointRef, InterruptRef, MessageRef } from '../checkpoints/schema.ts';
import type { PlainMessage } from '../checkpoints/plain.ts';
import { findState, findValues } from '../checkpoints/states.ts';
import type { App } from '../app.ts';
import { NotFoundError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import type { RunStatus as Status } from '../generated/prisma/enums.ts';
import { isRecord } from '../json.ts';
import { followRun, followThread, listRunEvents } from '../runs/events.ts';
import { findRun } from '../runs/search.ts';
import { RunRef, RunStatus, StreamMode } from '../runs/schema.ts';
import { builder } from '../schema/builder.ts';
import { connectionOf, forwardArgs } from '../schema/connection.ts';
import { RunErrorRef, shownError } from '../threads/schema.ts';
import { eventId, type StoredEvent } from './event.ts';

const NAMES: Record<StoredEvent['type'], string> = {
  STARTED: 'RunStartedEvent',
  VALUES: 'ValuesEvent',
  UPDATES: 'UpdatesEvent',
  MESSAGES: 'MessagesEvent',
  CUSTOM: 'CustomEvent',
  TASKS: 'TasksEvent',
  CHECKPOINTS: 'CheckpointsEvent',
  INTERRUPT: 'InterruptEvent',
  FINISHED: 'RunFinishedEvent',
  GAP: 'StreamGapEvent',
};

const RunEventRef = builder.interfaceRef<StoredEvent>('RunEvent').implement({
  description:
    "Something that happened in a run. Ids are unique over all runs; `after` takes any of them. A run's events have an order, without gaps: the first is a RunStartedEvent (unless the run was cancelled before it began), the last a RunFinishedEvent. Where some are no longer kept, a StreamGapEvent stands in their place.",
  resolveType: ({ type }) => NAMES[type],
  fields: (t) => ({
    id: t.id({ description: 'Also a cursor: what `after` takes.', resolve: eventId }),
    runId: t.exposeID('runId'),
    namespace: t.stringList({
      description: 'The subgraph it came from, outermost first; empty for the graph itself.',
      resolve: ({ namespace }) => [...namespace],
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});

/** What an event's row keeps of it. */
function dataOf({ data }: StoredEvent): Record<string, unknown> {
  return isRecord(data) ? data : {};
}

/** The checkpoint that the event shows, where the thread keeps it. */
async function stateOf(app: App, { threadId, namespace, checkpointId }: StoredEvent) {
  if (!checkpointId) return undefined;
  return findState(app, threadId, { namespace: namespace.join('|'), checkpointId });
}

/** The values of the state that the event shows: its own, or the checkpoint's. */
async function valuesShown(event: StoredEvent, app: App): Promise<unknown> {
  const { threadId, namespace, checkpointId } = event;
  const data = dataOf(event);
  if ('values' in data) return data['values'];
  return checkpointId
    ? findValues(app, threadId, { namespace: namespace.join('|'), checkpointId })
    : {};
}

async function runOf({ runId }: StoredEvent, app: App): Promise<Run> {
  const run = await findRun(app, runId);
  if (!run) throw new NotFoundError('Run', runId);
  return run;
}

builder.objectRef<StoredEvent>('RunStartedEvent').implement({
  description: 'A worker has taken the run. A run whose worker was lost starts again, and goes on.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    attempt: t.int({
      description: '1 for the first try; more after a worker was lost.',
      resolve: (event) => Number(dataOf(event)['attempt']),
    }),
    checkpointId: t.id({
      nullable: true,
      description: 'Of a retry: the checkpoint it goes on from.',
      resolve: ({ checkpointId }) => checkpointId ?? null,
    }),
    run: t.field({ type: RunRef, resolve: (event, _args, app) => runOf(event, app) }),
  }),
});

builder.objectRef<StoredEvent>('ValuesEvent').implement({
  description: 'The whole state after a step.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    values: t.field({
      type: 'JSON',
      description: 'What the channels of the graph hold, by name.',
      resolve: (event, _args, app) => valuesShown(event, app),
    }),
  }),
});

builder.objectRef<StoredEvent>('UpdatesEvent').implement({
  description: 'A node has finished. Nodes that run at once come one by one.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    node: t.string({
      description: 'Its name.',
      resolve: (event) => String(dataOf(event)['node']),
    }),
    update: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What it wrote.',
      resolve: (event) => dataOf(event)['update'],
    }),
  }),
});

builder.objectRef<StoredEvent>('MessagesEvent').implement({
  description: 'A message that is being written, or has been.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    message: t.field({
      type: MessageRef,
      description: 'A whole message, or one chunk of a message that is still being written.',
      resolve: (event) => dataOf(event)['message'] as PlainMessage,
    }),
    isChunk: t.boolean({
      description: 'Whether more of the same messageId may follow, to be appended.',
      resolve: (event) => dataOf(event)['isChunk'] === true,
    }),
    metadata: t.field({
      type: 'JSONObject',
      description:
        'Where it comes from: langgraph_node, langgraph_step, tags and what the model tells.',
      resolve: (event) => dataOf(event)['metadata'] ?? {},
    }),
  }),
});

builder.objectRef<StoredEvent>('CustomEvent').implement({
  description: 'What a node wrote to the stream itself.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    data: t.field({
      type: 'JSON',
      nullable: true,
      description: 'As the node wrote it.',
      resolve: (event) => dataOf(event)['data'],
    }),
  }),
});

builder.objectRef<StoredEvent>('TasksEvent').implement({
  description: 'A task has started, with its input, or ended, with its result or error.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    data: t.field({ type: 'JSONObject', description: 'As LangGraph streams it.', resolve: dataOf }),
  }),
});

builder.objectRef<StoredEvent>('CheckpointsEvent').implement({
  description: 'A checkpoint has been made.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    checkpointId: t.id({ resolve: (event) => String(dataOf(event)['checkpointId']) }),
    data: t.field({
      type: 'JSONObject',
      description: 'values, next, tasks and metadata, as LangGraph streams them.',
      resolve: async (event, _args, app) => {
        const { checkpointId: _, ...data } = dataOf(event);
        return { ...data, values: await valuesShown(event, app) };
      },
    }),
    checkpoint: t.field({
      type: CheckpointRef,
      nullable: true,
      description: 'Null where the run does not keep this checkpoint (durability EXIT).',
      resolve: (event, _args, app) => stateOf(app, event),
    }),
  }),
});

builder.objectRef<StoredEvent>('InterruptEvent').implement({
  description: 'The graph has stopped to ask a person.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    interrupts: t.field({
      type: [InterruptRef],
      resolve: (event, _args, { db }) =>
        db.interrupt.findMany({
          where: { id: { in: dataOf(event)['interruptIds'] as string[] } },
          orderBy: { seq: 'asc' },
        }),
    }),
  }),
});

builder.objectRef<StoredEvent>('RunFinishedEvent').implement({
  description: 'The run has ended: its last event.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    status: t.field({ type: RunStatus, resolve: (event) => dataOf(event)['status'] as Status }),
    error: t.field({
      type: RunErrorRef,
      nullable: true,
      resolve: (event) => shownError(dataOf(event)['error']),
    }),
    run: t.field({ type: RunRef, resolve: (event, _args, app) => runOf(event, app) }),
  }),
});

builder.objectRef<StoredEvent>('StreamGapEvent').implement({
  description:
    'Events after the cursor are no longer kept: read the state instead. Its id is where reading goes on.',
  interfaces: [RunEventRef],
});

const RunEvents = connectionOf(RunEventRef, 'RunEvent');

builder.prismaObjectField(RunRef, 'events', (t) =>
  t.field({
    type: RunEvents,
    description:
      'The recorded events, oldest first: what the subscription would send. A cursor is the id of its event.',
    args: {
      ...forwardArgs(t),
      modes: t.arg({
        type: [StreamMode],
        description: 'Only these, with the start, the interrupts and the end.',
      }),
    },
    resolve: (run, args, app) => listRunEvents(app, run, args),
  }),
);

builder.subscriptionField('runEvents', (t) =>
  t.field({
    type: RunEventRef,
    description:
      "A run's events from its first, or those after a cursor, then the live ones; completes after RunFinishedEvent. Any number of subscribers, at any time: each gets every event once, in order.",
    args: {
      runId: t.arg.id({ required: true }),
      after: t.arg.id({ description: 'The id of the last event that was seen.' }),
      modes: t.arg({
        type: [StreamMode],
        description: 'Only these, with the start, the interrupts and the end.',
      }),
    },
    subscribe: (_root, { runId, ...filter }, app) => followRun(app, runId, filter),
    resolve: (event) => event,
  }),
);

builder.subscriptionField('threadEvents', (t) =>
  t.field({
    type: RunEventRef,
    description:
      'The events of all runs of a thread, whoever started them, from now or after a cursor; does not complete before the thread is deleted.',
    args: {
      threadId: t.arg.id({ required: true }),
      after: t.arg.id({ description: 'The id of the last event that was seen.' }),
      modes: t.arg({
        type: [StreamMode],
        description: 'Only these, with the start, the interrupts and the end of each run.',
      }),
    },
    subscribe: (_root, { threadId, ...filter }, app) => followThread(app, threadId, filter),
    resolve: (event) => event,
  }),
);
