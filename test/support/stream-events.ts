import type { VariablesOf } from 'gql.tada';
import type { FollowOptions, Transport } from './app.ts';
import { ofType, type Client, type RunInput } from './client.ts';
import { operation, type AnswerTo } from './graphql.ts';
import type { Streamed } from './streamed.ts';

export const ALL_MODES: NonNullable<FollowOptions['modes']> = [
  'VALUES',
  'UPDATES',
  'MESSAGES',
  'CUSTOM',
  'TASKS',
  'CHECKPOINTS',
  'DEBUG',
  'TOOLS',
  'EVENTS',
];

/** All fields of an event from LangGraph's stream. */
const EVENT = operation(`
  fragment Event on RunEvent @_unmask {
    __typename
    id
    namespace
    ... on ValuesEvent {
      values
    }
    ... on UpdatesEvent {
      node
      update
    }
    ... on MessagesEvent {
      message {
        messageId
        type
        name
        text
        toolCallId
        toolCalls {
          toolCallId
          name
          args
        }
      }
      isChunk
      metadata
    }
    ... on CustomEvent {
      custom: data
    }
    ... on TasksEvent {
      task: data
    }
    ... on CheckpointsEvent {
      checkpointId
      shown: data
      checkpoint {
        checkpointId
        namespace
        values
      }
    }
    ... on DebugEvent {
      debug: data
    }
    ... on ToolsEvent {
      call: data
    }
    ... on LangChainEvent {
      traced: data
    }
    ... on RunFinishedEvent {
      status
    }
  }
`);

export const FOLLOW = operation(
  `subscription ($runId: ID!, $modes: [StreamMode!]) {
    runEvents(runId: $runId, modes: $modes) { ...Event }
  }`,
  [EVENT],
);
export const LIST = operation(
  `query ($id: ID!, $modes: [StreamMode!]) {
    run(id: $id) { events(first: 100, modes: $modes) { nodes { ...Event } } }
  }`,
  [EVENT],
);
export const FOLLOW_THREAD = operation(
  `subscription ($threadId: ID!, $after: ID, $modes: [StreamMode!]) {
    threadEvents(threadId: $threadId, after: $after, modes: $modes) { ...Event }
  }`,
  [EVENT],
);

export type Event = AnswerTo<typeof FOLLOW>['runEvents'];
export type Mode = NonNullable<VariablesOf<typeof FOLLOW>['modes']>[number];

export type Task = {
  id: string;
  name: string;
  input?: unknown;
  result?: unknown;
};

type ShownCheckpoint = {
  values: unknown;
  next: string[];
  metadata: { step: number };
};

export async function start(client: Client, input: RunInput): Promise<string> {
  return (await client.startRun({ input: {}, ...input })).id;
}

export async function follow(
  client: Client,
  runId: string,
  { modes, transport }: { modes?: readonly Mode[]; transport?: Transport } = {},
): Promise<Event[]> {
  const events: Event[] = [];
  const variables = { runId, ...(modes && { modes: [...modes] }) };
  for await (const { runEvents } of client.subscribe(FOLLOW, variables, transport)) {
    events.push(runEvents);
  }
  return events;
}

/** The events of a new run, with every mode by default. */
export async function record(client: Client, input: RunInput): Promise<Event[]> {
  return follow(client, await start(client, { streamModes: [...ALL_MODES], ...input }));
}

export const typesOf = (events: Event[]) => events.map(({ __typename }) => __typename);
export const typeOf = (mode: Mode) =>
  mode === 'EVENTS' ? 'LangChainEvent' : `${mode[0]}${mode.slice(1).toLowerCase()}Event`;
export const nodesOf = (events: Event[]) => ofType(events, 'UpdatesEvent').map(({ node }) => node);
export const customOf = (events: Event[]) =>
  ofType(events, 'CustomEvent').map(({ custom }) => custom);
export const tasksOf = (events: Event[]) =>
  ofType(events, 'TasksEvent').map(({ task }) => task as Task);
export const checkpointsOf = (events: Event[]) =>
  ofType(events, 'CheckpointsEvent').map((event) => ({
    ...event,
    shown: event.shown as ShownCheckpoint,
  }));

/** An event as a chunk of LangGraph's stream. Undefined: it is not from the stream. */
export function chunkOf(event: Event): Streamed | undefined {
  const { __typename, namespace } = event;
  if (__typename === 'ValuesEvent') return [namespace, 'values', event.values];
  if (__typename === 'UpdatesEvent') return [namespace, 'updates', { [event.node]: event.update }];
  if (__typename === 'CustomEvent') return [namespace, 'custom', event.custom];
  if (__typename === 'MessagesEvent') return [namespace, 'messages', event.message];
  if (__typename === 'CheckpointsEvent') return [namespace, 'checkpoints', event.shown];
  if (__typename !== 'TasksEvent') return undefined;
  // The metadata has the ids of the run. LangGraph has no such ids in process.
  const { metadata: _, ...task } = event.task as Task & { metadata?: unknown };
  return [namespace, 'tasks', task];
}
