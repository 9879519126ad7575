import type { ClientApp } from '../app.ts';
import type { PlainMessage } from '../checkpoints/plain.ts';
import { MessageRef } from '../checkpoints/schema-messages.ts';
import { NotFoundError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import type { RunStatus as Status } from '../generated/prisma/enums.ts';
import { builder } from '../graphql/builder.ts';
import { connectionOf, pageArgs, type Args } from '../graphql/connection.ts';
import { STATE_COST } from '../graphql/cost.ts';
import { InterruptRef } from '../interrupts/schema.ts';
import { findInterrupts } from '../interrupts/search.ts';
import { valuesOfEvent } from '../runs/event-values.ts';
import { eventCursor, followRun, followThread, streamRun } from '../runs/events.ts';
import { listRunEvents } from '../runs/list-events.ts';
import { RunRef, RunStatus, StreamMode } from '../runs/schema.ts';
import { CreateRunInput } from '../runs/schema-mutations.ts';
import { withoutHandlers } from '../auth/viewer.ts';
import { findRun } from '../runs/search.ts';
import { RunErrorRef, shownError, ThreadRef } from '../threads/schema.ts';
import type { StoredEvent } from './event.ts';
import { dataOf, RunEventRef } from './schema-event.ts';

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
      resolve: (event, _args, app) => valuesOfEvent(app, event),
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
      resolve: (event, _args, app) => app.texts.textAt(app, event),
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

builder.objectRef<StoredEvent>('InterruptEvent').implement({
  description: 'The graph stopped at an interrupt and waits for an answer.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    interrupts: t.field({
      type: [InterruptRef],
      resolve: (event, _args, app) =>
        findInterrupts(app, dataOf(event)['interruptIds'] as string[]),
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
