import { describe, expect } from 'vitest';
import { human, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation, type AnswerTo } from './support/graphql.ts';
import { collect, textOf, WHOLE } from './support/streams.ts';

const SNAPSHOT = operation(`
  query Snapshot($id: ID!) { thread(id: $id) { eventCursor status messages { text } } }
`);
const FOLLOW = operation(`
  subscription FollowThread($id: ID!, $after: ID) {
    threadEvents(threadId: $id, after: $after) {
      __typename
      id
      runId
      ... on MessagesEvent { isChunk message { text } }
    }
  }
`);
const CANCEL = operation(`mutation Cancel($id: ID!) { cancelRun(id: $id, wait: true) { status } }`);

type ThreadEvent = AnswerTo<typeof FOLLOW>['threadEvents'];

async function readSnapshot(client: Client, id: string) {
  const { thread } = await client.gql(SNAPSHOT, { id });
  return thread ?? expect.fail('There is no thread.');
}

/** Follows the thread after the cursor. `until` waits for an event of this type of the run, and returns the run's events. */
function followAfter(client: Client, id: string, after: string) {
  const { seen } = collect(client.subscribe(FOLLOW, { id, after }));
  return {
    async until(runId: string, type: ThreadEvent['__typename']): Promise<ThreadEvent[]> {
      const ofRun = () =>
        seen.map(({ threadEvents }) => threadEvents).filter((event) => event.runId === runId);
      await until(() => ofRun().some(({ __typename }) => __typename === type));
      return ofRun();
    },
  };
}

/** Starts a run of graph `halves` and waits for its first half. */
async function startHalves(client: Client, threadId: string) {
  const gate = createGate();
  const input = { threadId, assistantId: 'halves', input: { file: gate.file } };
  const { id } = await client.startRun(input);
  const { eventCursor } = await readSnapshot(client, threadId);
  await followAfter(client, threadId, eventCursor).until(id, 'MessagesEvent');
  return { gate, id };
}

describe('eventCursor', () => {
  it('is before the first event of an executing run: its message arrives from its first chunk', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'echo', input: human('before') });
    const { gate, id } = await startHalves(client, threadId);
    const { eventCursor, status } = await readSnapshot(client, threadId);
    expect(status).toBe('BUSY');
    const followed = followAfter(client, threadId, eventCursor);
    await gate.open();
    const events = await followed.until(id, 'RunFinishedEvent');
    expect(events[0]?.__typename).toBe('RunStartedEvent');
    expect(textOf(events)).toBe(WHOLE);
  });

  it('stays there when a run that waits behind it is cancelled', async ({ client }) => {
    const threadId = await client.createThread();
    const { gate, id } = await startHalves(client, threadId);
    const queued = await client.startRun({ threadId, assistantId: 'echo', input: human('queued') });
    await client.gql(CANCEL, { id: queued.id });
    const { eventCursor } = await readSnapshot(client, threadId);
    const followed = followAfter(client, threadId, eventCursor);
    await gate.open();
    const events = await followed.until(id, 'RunFinishedEvent');
    expect(textOf(events)).toBe(WHOLE);
  });

  it('is after all events of a thread at rest: the events of the next run follow', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const first = await client.runToEnd({ threadId, assistantId: 'echo', input: human('1') });
    const { eventCursor } = await readSnapshot(client, threadId);
    expect(eventCursor).toBe((await client.follow(first.id)).at(-1)?.id);
    const followed = followAfter(client, threadId, eventCursor);
    const second = await client.runToEnd({ threadId, assistantId: 'echo', input: human('2') });
    const events = await followed.until(second.id, 'RunFinishedEvent');
    expect(events.map(({ id }) => id)).toEqual(
      (await client.follow(second.id)).map(({ id }) => id),
    );
  });

  it('precedes the first event of a new thread', async ({ client }) => {
    const threadId = await client.createThread();
    const { eventCursor } = await readSnapshot(client, threadId);
    const run = await client.runToEnd({ threadId, assistantId: 'echo', input: human('1') });
    const events = await followAfter(client, threadId, eventCursor).until(
      run.id,
      'RunFinishedEvent',
    );
    expect(events[0]?.__typename).toBe('RunStartedEvent');
  });
});
