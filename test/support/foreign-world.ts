import { expect } from 'vitest';
import { eventId } from '../../src/events/event.ts';
import { human, randomId } from './app.ts';
import type { Client } from './client.ts';
import { operation } from './graphql.ts';
import { ALL_MODES } from './stream-events.ts';

/** The ids of what a viewer owns: a thread with messages, and a thread with a question in a subgraph. */
export interface World {
  chat: string;
  chatRun: string;
  lastChatRun: string;
  /** A run that starts in an hour. */
  laterRun: string;
  asking: string;
  askingRun: string;
  assistant: string;
  /** The newest checkpoint of each thread. */
  chatCheckpoint: string;
  askingCheckpoint: string;
  /** An older checkpoint of the chat. */
  oldCheckpoint: string;
  message: string;
  interrupt: string;
  chatEvent: string;
  askingEvent: string;
  idempotencyKey: string;
  /** A word in the metadata of all objects. */
  mark: string;
}

const READ = operation(`
  query World($chat: ID!, $asking: ID!) {
    talked: thread(id: $chat) {
      eventCursor
      messages { messageId }
      history(first: 100) { nodes { checkpointId } }
    }
    asked: thread(id: $asking) {
      eventCursor
      state { checkpointId }
      interrupts { id }
    }
  }
`);

/** Creates two threads, four runs and an assistant. */
export async function createWorld(client: Client): Promise<World> {
  const mark = `mark${randomId().replaceAll('-', '')}`;
  const metadata = { mark };
  const assistant = await createAssistant(client, mark);
  const chat = await client.createThread({ metadata });
  const asking = await client.createThread({ metadata });
  const idempotencyKey = randomId();
  // Few enough events for one page.
  const streamModes = ALL_MODES.filter((mode) => !['DEBUG', 'EVENTS', 'TOOLS'].includes(mode));
  const all = { metadata, streamModes, streamSubgraphs: true };
  const talk = { ...all, threadId: chat, assistantId: assistant };
  const first = await client.runToEnd({ ...talk, input: human(`${mark} one`), idempotencyKey });
  await forkFirstMessage(client, chat);
  const last = await client.runToEnd({ ...talk, input: human(`${mark} two`) });
  const later = await client.startRun({ ...talk, input: human(mark), afterSeconds: 3600 });
  const question = await client.runToEnd({
    ...all,
    threadId: asking,
    assistantId: 'nestedAsk',
    input: {},
  });
  expect([first.status, last.status, question.status]).toEqual([
    'SUCCESS',
    'SUCCESS',
    'INTERRUPTED',
  ]);
  const { talked, asked } = (await client.gql(READ, { chat, asking })) as any;
  const [newest, , older] = talked.history.nodes;
  return {
    chat,
    chatRun: first.id,
    lastChatRun: last.id,
    laterRun: later.id,
    asking,
    askingRun: question.id,
    assistant,
    chatCheckpoint: newest.checkpointId,
    oldCheckpoint: older.checkpointId,
    askingCheckpoint: asked.state.checkpointId,
    message: talked.messages[0].messageId,
    interrupt: asked.interrupts[0].id,
    chatEvent: talked.eventCursor,
    askingEvent: asked.eventCursor,
    idempotencyKey,
    mark,
  };
}

/** Makes a second branch before the first message, and goes back to the first branch. */
async function forkFirstMessage(client: Client, id: string): Promise<void> {
  const READ = operation(`query Checkpoints($id: ID!) {
    thread(id: $id) { history(first: 100) { nodes { checkpointId } } }
  }`);
  const FORK = operation(`mutation Fork($id: ID!, $checkpointId: ID!) {
    updateThreadState(id: $id, input: { checkpointId: $checkpointId, values: null }) { checkpointId }
  }`);
  const { thread } = await client.gql(READ, { id });
  const checkpoints = thread?.history.nodes ?? [];
  for (const checkpoint of [checkpoints.at(-1), checkpoints[0]])
    await client.gql(FORK, { id, checkpointId: checkpoint?.checkpointId ?? '' });
}

async function createAssistant(client: Client, mark: string): Promise<string> {
  const CREATE = operation(`
    mutation CreateMarked($mark: String!, $metadata: JSONObject!) {
      createAssistant(input: { graphId: "tokens", name: $mark, metadata: $metadata }) { id }
    }
  `);
  return (await client.gql(CREATE, { mark, metadata: { mark } })).createAssistant.id;
}

/** Ids of the same forms, of nothing. */
export function missingWorld(): World {
  const [chat, asking] = [randomId(), randomId()];
  return {
    chat,
    chatRun: randomId(),
    lastChatRun: randomId(),
    laterRun: randomId(),
    asking,
    askingRun: randomId(),
    assistant: randomId(),
    chatCheckpoint: randomId(),
    askingCheckpoint: randomId(),
    oldCheckpoint: randomId(),
    message: randomId(),
    interrupt: randomId(),
    chatEvent: eventId({ threadId: chat, number: 3 }),
    askingEvent: eventId({ threadId: asking, number: 3 }),
    idempotencyKey: randomId(),
    mark: `mark${randomId().replaceAll('-', '')}`,
  };
}

const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g;
const UUID = /[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/g;

/** An answer with the ids of a world, times and other ids replaced by their names, and without places in the document. */
export function withoutIds(answer: unknown, world: World): unknown {
  let text = JSON.stringify(answer, (key, value: unknown) =>
    key === 'locations' ? undefined : value,
  );
  for (const [name, id] of Object.entries(world) as [string, string][])
    text = text.replaceAll(id, `<${name}>`);
  return JSON.parse(text.replace(TIME, '<time>').replace(UUID, '<uuid>'));
}
