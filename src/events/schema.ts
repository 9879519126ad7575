import type { App, ClientApp } from '../app.ts';
import type { PlainMessage } from '../checkpoints/plain.ts';
import { MessageRef } from '../checkpoints/schema-messages.ts';
import { CheckpointRef } from '../checkpoints/schema.ts';
import { findState, findValues } from '../checkpoints/states.ts';
import { NotFoundError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import type { RunStatus as Status } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { connectionOf, pageArgs, type Args } from '../graphql/connection.ts';
import { STATE_COST } from '../graphql/cost.ts';
import { InterruptRef } from '../interrupts/schema.ts';
import { recordOf } from '../json.ts';
import { eventCursor, followRun, followThread, streamRun } from '../runs/events.ts';
import { listRunEvents } from '../runs/list-events.ts';
import { RunRef, RunStatus, StreamMode } from '../runs/schema.ts';
import { CreateRunInput } from '../runs/schema-mutations.ts';
import { withoutHandlers } from '../auth/viewer.ts';
import { findRun } from '../runs/search.ts';
import { RunErrorRef, shownError, ThreadRef } from '../threads/schema.ts';
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
    "An event of a run. Ids are unique over all runs; `after` accepts any of them. A run's events are ordered without gaps: RunStartedEvent first (unless the run was cancelled before its start), RunFinishedEvent last. A StreamGapEvent replaces expired events. If an event exceeds EVENT_LIMIT_BYTES, a text replaces its data; the state keeps the data.",
  resolveType: ({ type }) => NAMES[type],
  fields: (t) => ({
    id: t.id({ description: 'Id of the event, also its cursor for `after`.', resolve: eventId }),
    runId: t.exposeID('runId'),
    namespace: t.stringList({
      description: 'Path of the subgraph, outermost first; empty for the root graph.',
      resolve: ({ namespace }) => [...namespace],
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});

/** The stored data of an event. */
function dataOf({ data }: StoredEvent): Record<string, unknown> {
  return recordOf(data);
}

/** The checkpoint of the event, if the thread still has it. */
async function stateOf(app: App, { threadId, namespace, checkpointId }: StoredEvent) {
  if (!checkpointId) return undefined;
  return findState(app, threadId, { namespace: namespace.join('|'), checkpointId });
}

/** The state values of the event: stored in the event, or else in its checkpoint. */
async function valuesShown(event: StoredEvent, app: App): Promise<unknown> {
  const { threadId, namespace, checkpointId } = event;
  const data = dataOf(event);
  if ('values' in data) return data['values'];
  return checkpointId
    ? findValues(app, threadId, { namespace: namespace.join('|'), checkpointId })
    : {};
}

async function runOf({ runId }: StoredEvent, app: ClientApp): Promise<Run> {
  // Of a run or a thread that the viewer follows.
  const run = await findRun(app, withoutHandlers(app.viewer), runId);
  if (!run) throw new NotFoundError('Run', runId);
  return run;
}

builder.objectRef<StoredEvent>('RunStartedEvent').implement({
  description:
    'A worker claimed the run. After the loss of a worker, the run starts again and continues from its last checkpoint.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    attempt: t.int({
      description: '1 for the first attempt; higher after the loss of a worker.',
      resolve: (event) => Number(dataOf(event)['attempt']),
    }),
    checkpointId: t.id({
      nullable: true,
      description: 'For a retry: the checkpoint it continues from.',
      resolve: ({ checkpointId }) => checkpointId ?? null,
    }),
    run: t.field({ type: RunRef, resolve: (event, _args, app) => runOf(event, app) }),
  }),
});

builder.objectRef<StoredEvent>('ValuesEvent').implement({
  description: 'The full state after a step.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    values: t.field({
      extensions: STATE_COST,
      type: 'JSON',
      description: 'Channel values of the graph, by channel name.',
      resolve: (event, _args, app) => valuesShown(event, app),
    }),
  }),
});

builder.objectRef<StoredEvent>('UpdatesEvent').implement({
  description: 'A node finished. Each of several parallel nodes has its own event.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    node: t.string({
      description: 'Name of the node.',
      resolve: (event) => String(dataOf(event)['node']),
    }),
    update: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Writes of the node.',
      resolve: (event) => dataOf(event)['update'],
    }),
  }),
});

builder.objectRef<StoredEvent>('MessagesEvent').implement({
  description: 'A message, or a chunk of a streamed message.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    message: t.field({
      type: MessageRef,
      description: 'A whole message, or a chunk of a streamed message.',
      resolve: (event) => ({ message: dataOf(event)['message'] as PlainMessage }),
    }),
    text: t.string({
      description:
        'The text of the message so far: of all its chunks in this attempt of the run, up to this one; also after a new subscription. For a whole message, its text. It repeats the earlier text with each chunk: clients that join chunks select message.text instead.',
      resolve: (event, _args, app) => app.texts.textAt(app.sql, event),
    }),
    isChunk: t.boolean({
      description: 'True if chunks with the same messageId may follow; clients append them.',
      resolve: (event) => dataOf(event)['isChunk'] === true,
    }),
    metadata: t.field({
      type: 'JSONObject',
      description:
        'Origin of the message: langgraph_node, langgraph_step, tags and details from the model.',
      resolve: (event) => dataOf(event)['metadata'] ?? {},
    }),
  }),
});

/** Allowed by the server's validation, but possibly refused by a client's (validation.ts). */
const TOGETHER =
  'A selection may combine it with `data` of all event types, although the types differ.';

builder.objectRef<StoredEvent>('CustomEvent').implement({
  description: 'Data from the stream writer of a node.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    data: t.field({
      type: 'JSON',
      nullable: true,
      description: `The data as the node wrote it. ${TOGETHER}`,
      resolve: (event) => dataOf(event)['data'],
    }),
  }),
});

builder.objectRef<StoredEvent>('TasksEvent').implement({
  description: 'A task started (with its input) or ended (with its result or error).',
  interfaces: [RunEventRef],
  fields: (t) => ({
    data: t.field({
      type: 'JSONObject',
      description: `Stream data of LangGraph's mode tasks. ${TOGETHER}`,
      resolve: dataOf,
    }),
  }),
});

builder.objectRef<StoredEvent>('CheckpointsEvent').implement({
  description: 'A new checkpoint.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    checkpointId: t.id({ resolve: (event) => String(dataOf(event)['checkpointId']) }),
    data: t.field({
      extensions: STATE_COST,
      type: 'JSONObject',
      description: "LangGraph's `checkpoints` stream data: values, next, tasks and metadata.",
      resolve: async (event, _args, app) => {
        const { checkpointId: _, ...data } = dataOf(event);
        return { ...data, values: await valuesShown(event, app) };
      },
    }),
    checkpoint: t.field({
      type: CheckpointRef,
      nullable: true,
      description: 'Null if the run does not store this checkpoint (durability EXIT).',
      resolve: (event, _args, app) => stateOf(app, event),
    }),
  }),
});

builder.objectRef<StoredEvent>('InterruptEvent').implement({
  description: 'The graph stopped at an interrupt and waits for an answer.',
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
  description: 'The last event of a run.',
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
    'Events after the cursor have expired: read the state instead. Its id is the cursor to continue from.',
  interfaces: [RunEventRef],
});

const RunEvents = connectionOf(RunEventRef, 'RunEvent');

builder.prismaObjectField(RunRef, 'events', (t) =>
  t.field({
    type: RunEvents,
    description:
      'Recorded events, oldest first, as in the subscription. The cursor of an event is its id.',
    args: {
      ...pageArgs(t),
      modes: t.arg({
        type: [StreamMode],
        description: 'Only events of these modes, plus start, interrupts and end.',
      }),
    },
    resolve: (run, args, app) => listRunEvents(app, run, args),
  }),
);

builder.prismaObjectField(ThreadRef, 'eventCursor', (t) =>
  t.id({
    description:
      'Cursor for `threadEvents(after:)` by which a client misses nothing after this snapshot of the thread. While a run executes, it is the position before the first event of the run, so its messages arrive from their first chunk. An event may repeat a change that the state already has: ignore the chunks of a message that is in `messages`.',
    resolve: (thread, _args, app) => eventCursor(app, thread),
  }),
);

/** The arguments of a reader of events. `end` names the last events that every reader gets. */
function readerArgs({ arg }: Args, end: string) {
  return {
    after: arg.id({ description: 'Id of the last received event.' }),
    modes: arg({
      type: [StreamMode],
      description: `Only events of these modes, plus start, interrupts and ${end}.`,
    }),
  };
}

builder.subscriptionField('runEvents', (t) =>
  t.field({
    type: RunEventRef,
    description:
      'Events of a run: stored events from the first or after a cursor, then live events. Completes after RunFinishedEvent. Any number of clients may subscribe at any time; each receives every event once, in order.',
    args: {
      runId: t.arg.id({ required: true }),
      ...readerArgs(t, 'end'),
    },
    subscribe: (_root, { runId, ...filter }, app) => followRun(app, app.viewer, runId, filter),
    resolve: (event) => event,
  }),
);

builder.subscriptionField('streamRun', (t) =>
  t.field({
    type: RunEventRef,
    description:
      'Creates a run and sends its events, as createRun and runEvents in one operation. It needs input.idempotencyKey: a repeated subscription with the same input follows the same run, from its first event or after a cursor. The run continues if the client leaves. BAD_USER_INPUT without a key, CONFLICT for a key with a different input. Not allowed with GET.',
    args: {
      input: t.arg({ type: CreateRunInput, required: true }),
      ...readerArgs(t, 'end'),
    },
    subscribe: (_root, { input, ...filter }, app) => streamRun(app, app.viewer, input, filter),
    resolve: (event) => event,
  }),
);

builder.subscriptionField('threadEvents', (t) =>
  t.field({
    type: RunEventRef,
    description:
      'Events of all runs of a thread, from now or after a cursor. Completes only after deletion of the thread.',
    args: {
      threadId: t.arg.id({ required: true }),
      ...readerArgs(t, 'end of each run'),
    },
    subscribe: (_root, { threadId, ...filter }, app) =>
      followThread(app, app.viewer, threadId, filter),
    resolve: (event) => event,
  }),
);
