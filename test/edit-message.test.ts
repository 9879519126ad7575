import { describe, expect } from 'vitest';
import { human, randomId, until } from './support/app.ts';
import type { Client, RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { contentsOf, valuesOf } from './support/graphql.ts';
import { selectThread } from './support/select-thread.ts';

const say = (content: string, id = content) => ({ messages: [{ type: 'human', id, content }] });

/** Says these texts to graph `echo`; the id of each message is its text. Returns the thread. */
async function conversation(client: Client, ...texts: string[]): Promise<string> {
  const threadId = await client.createThread();
  for (const text of texts) {
    await client.runToEnd({ threadId, assistantId: 'echo', input: say(text) });
  }
  return threadId;
}

async function edit(client: Client, threadId: string, input: Partial<RunInput>) {
  return client.runToEnd({ threadId, assistantId: 'echo', ...input });
}

async function messagesOf(client: Client, threadId: string) {
  const { values } = await client.getThread(threadId);
  return valuesOf(values).messages;
}

/** The last message of each branch that starts at a checkpoint, when it gets its message. */
async function versionsAfter(
  client: Client,
  threadId: string,
  checkpoint: { checkpointId: string } | null | undefined,
): Promise<(string | undefined)[]> {
  const { history } = await selectThread(
    client,
    threadId,
    'history(first: 100) { nodes { checkpointId parentCheckpointId source messages { text } } }',
  );
  const childrenOf = (id: string | undefined): typeof history.nodes =>
    history.nodes
      .filter(({ parentCheckpointId: parent }) => parent === id)
      .flatMap((child) => (child.source === 'LOOP' ? [child] : childrenOf(child.checkpointId)));
  const versions = childrenOf(checkpoint?.checkpointId);
  return versions.map(({ messages }) => messages.at(-1)?.text).toReversed();
}

describe('A run with editMessageId', () => {
  it('answers the edited message in a new branch, and keeps the old one', async ({ client }) => {
    const threadId = await conversation(client, 'one', 'two', 'three');
    const fields = 'messages { messageId checkpointBefore { checkpointId } }' as const;
    const { messages } = await selectThread(client, threadId, fields);
    const before = messages.find(({ messageId }) => messageId === 'two')?.checkpointBefore;
    const run = await edit(client, threadId, { editMessageId: 'two', input: say('2', 'two') });
    expect(contentsOf(run.output)).toEqual(['one', 'echo: one', '2', 'echo: 2']);
    expect(contentsOf((await client.getThread(threadId)).values)).toEqual(contentsOf(run.output));

    const { messages: edited } = await selectThread(client, threadId, fields);
    expect(edited[2]?.checkpointBefore).toEqual(before);
    expect(await versionsAfter(client, threadId, before)).toEqual(['two', '2']);
  });

  it.for(['two', 'one'])(
    'makes the versions of a message siblings, in an edit of an edit too: message "%s"',
    async (messageId, { client }) => {
      const threadId = await conversation(client, 'one', 'two');
      const fields = 'messages { messageId text checkpointBefore { checkpointId } }' as const;
      const find = async () => {
        const { messages } = await selectThread(client, threadId, fields);
        return messages.find((message) => message.messageId === messageId);
      };
      const { checkpointBefore: before } = (await find()) ?? {};
      for (const text of ['a', 'b']) {
        await edit(client, threadId, { editMessageId: messageId, input: say(text, messageId) });
        expect(await find()).toEqual({ messageId, text, checkpointBefore: before });
      }
      await edit(client, threadId, { editMessageId: messageId });
      await edit(client, threadId, { editMessageId: messageId });
      expect(await find()).toEqual({ messageId, text: 'b', checkpointBefore: before });
      await edit(client, threadId, { editMessageId: messageId, input: say('c', messageId) });
      expect(await find()).toEqual({ messageId, text: 'c', checkpointBefore: before });
      expect(new Set(await versionsAfter(client, threadId, before))).toEqual(
        new Set([messageId, 'a', 'b', 'c']),
      );
    },
  );

  it('makes answers to the same message siblings', async ({ client }) => {
    const threadId = await conversation(client, 'one');
    const fields = 'messages { messageId checkpointBefore { checkpointId next } }' as const;
    const answer = async () => (await selectThread(client, threadId, fields)).messages[1];
    const first = await answer();
    expect(first?.checkpointBefore?.next).toEqual(['echo']);
    for (const _ of [1, 2]) {
      await edit(client, threadId, { editMessageId: (await answer())?.messageId });
      expect((await answer())?.checkpointBefore).toEqual(first?.checkpointBefore);
    }
    const { state } = await selectThread(
      client,
      threadId,
      `state(checkpointId: "${first?.checkpointBefore?.checkpointId}") { children { checkpointId } }`,
    );
    expect(state?.children).toHaveLength(3);
  });

  it('knows a message by its own id, not by an id inside another message', async ({ client }) => {
    const threadId = await conversation(client, 'q1', 'q2');
    const quotes = {
      id: 'q3',
      type: 'human',
      content: [
        { type: 'text', text: 'about this' },
        { type: 'reference', id: 'q2' },
      ],
      additional_kwargs: { quoted: { id: 'q1' } },
    };
    await edit(client, threadId, { input: { messages: [quotes] } });
    const run = await edit(client, threadId, { editMessageId: 'q2', input: say('EDITED', 'q2') });
    expect(contentsOf(run.output)).toEqual(['q1', 'echo: q1', 'EDITED', 'echo: EDITED']);
  });

  it('answers again without input, from the message of the person or from the answer', async ({
    client,
  }) => {
    const threadId = await conversation(client, 'one', 'two');
    const before = await messagesOf(client, threadId);
    await edit(client, threadId, { editMessageId: before[3]?.id });
    const again = await messagesOf(client, threadId);
    expect(contentsOf({ messages: again })).toEqual(contentsOf({ messages: before }));
    expect(again.slice(0, 3)).toEqual(before.slice(0, 3));
    expect(again[3]?.id).not.toBe(before[3]?.id);

    await edit(client, threadId, { editMessageId: 'one' });
    const fromStart = await messagesOf(client, threadId);
    expect(contentsOf({ messages: fromStart })).toEqual(['one', 'echo: one']);
    expect(fromStart[1]?.id).not.toBe(before[1]?.id);
  });

  it('edits an edited message again, and the messages of the branch only', async ({ client }) => {
    const threadId = await conversation(client, 'one', 'two');
    await edit(client, threadId, { editMessageId: 'one', input: say('1', 'one') });
    await edit(client, threadId, { editMessageId: 'one', input: say('uno', 'one') });
    await edit(client, threadId, { input: say('due') });
    await edit(client, threadId, { editMessageId: 'due', input: say('dos') });
    expect(contentsOf((await client.getThread(threadId)).values)).toEqual([
      'uno',
      'echo: uno',
      'dos',
      'echo: dos',
    ]);
    expect(
      await client.refusal({
        threadId,
        assistantId: 'echo',
        editMessageId: 'two',
        input: say('2'),
      }),
    ).toEqual({ code: 'BAD_USER_INPUT', argument: 'input.editMessageId' });
  });

  it('edits a message in a copy of the thread', async ({ client }) => {
    const copy = await client.copyThread(await conversation(client, 'one', 'two'));
    const run = await edit(client, copy, { editMessageId: 'two', input: say('2') });
    expect(contentsOf(run.output)).toEqual(['one', 'echo: one', '2', 'echo: 2']);
  });

  it.for(['INTERRUPT', 'ROLLBACK', 'ENQUEUE'] as const)(
    'replaces the message of a running run, with %s',
    async (multitaskStrategy, { client }) => {
      const threadId = await client.createThread();
      const gate = createGate();
      const input = { ...say('one'), file: gate.file };
      const held = await client.startRun({ threadId, assistantId: 'lookUp', input });
      await until(async () => (await client.getThread(threadId)).state?.next.includes('tools'));
      const started = await client.startRun({
        threadId,
        assistantId: 'echo',
        editMessageId: 'one',
        input: say('1'),
        multitaskStrategy,
      });
      if (multitaskStrategy === 'ENQUEUE') await gate.open();
      const run = await client.untilEnded(started.id);
      expect(run).toMatchObject({ status: 'SUCCESS', error: null });
      expect(contentsOf(run.output)).toEqual(['1', 'echo: 1']);
      const stopped = multitaskStrategy === 'ROLLBACK' ? null : expect.anything();
      expect(await client.findRun(held.id)).toEqual(stopped);
    },
  );

  it('is refused with ROLLBACK of the run of the message, if nothing would remain to answer', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const gate = createGate();
    const input = { ...say('one'), file: gate.file };
    const held = await client.startRun({ threadId, assistantId: 'lookUp', input });
    await until(async () => (await client.getThread(threadId)).state?.next.includes('tools'));
    const again = { threadId, assistantId: 'lookUp', editMessageId: 'one' };
    expect(await client.refusal({ ...again, multitaskStrategy: 'ROLLBACK' })).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.editMessageId',
    });
    await gate.open();
    expect(await client.untilEnded(held.id)).toMatchObject({ status: 'SUCCESS' });
  });

  it('decides at once: of concurrent edits, each starts before the message', async ({ client }) => {
    const threadId = await conversation(client, 'one');
    const runs = await Promise.all(
      ['a', 'b', 'c', 'd'].map((text) =>
        edit(client, threadId, { editMessageId: 'one', input: say(text, 'one') }),
      ),
    );
    expect(runs.map(({ output }) => contentsOf(output))).toEqual(
      ['a', 'b', 'c', 'd'].map((text) => [text, `echo: ${text}`]),
    );
  });

  it('is the same run for the same key, when the message is gone', async ({ client }) => {
    const threadId = await conversation(client, 'one');
    const input = { editMessageId: 'one', input: say('other'), idempotencyKey: randomId() };
    const { id } = await edit(client, threadId, input);
    expect(await edit(client, threadId, input)).toMatchObject({ id });
  });

  it('is refused without such a message, without a checkpoint before it, and beside another start', async ({
    client,
  }) => {
    const threadId = await conversation(client, 'one');
    const request = { threadId, assistantId: 'echo', input: say('2') };
    const argument = { code: 'BAD_USER_INPUT', argument: 'input.editMessageId' };
    const refusal = (more: object) => client.refusal({ ...request, editMessageId: 'one', ...more });
    expect(await refusal({ editMessageId: 'other' })).toEqual(argument);
    expect(await refusal({ editMessageId: '' })).toEqual(argument);
    expect(await refusal({ checkpointId: randomId() })).toEqual(argument);
    expect(await refusal({ command: { goto: [] }, input: null })).toEqual(argument);
    expect(await refusal({ threadId: null })).toEqual(argument);
    const missing = { threadId: randomId(), ifThreadMissing: 'CREATE' };
    expect(await refusal(missing)).toEqual(argument);
    expect(await client.findThread(missing.threadId)).toBeNull();
    expect(await refusal({ threadId: randomId() })).toEqual({ code: 'NOT_FOUND' });

    const imported = await client.createThread({
      graphId: 'echo',
      supersteps: [{ updates: [{ values: human('first'), asNode: '__start__' }] }],
    });
    const [first] = await messagesOf(client, imported);
    expect(await refusal({ threadId: imported, editMessageId: first?.id })).toEqual(argument);

    const [error] = await client.errors(
      `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`,
      { inputs: [request, { ...request, editMessageId: 'other' }] },
    );
    expect(error?.extensions).toEqual({ ...argument, argument: 'inputs[1].editMessageId' });
  });
});

describe('Message.versions', () => {
  const FIELDS =
    'messages { messageId text versions { isCurrent newest { checkpointId messages { text } } } }' as const;

  /** The versions of each message: the texts of the newest state of each, and a star for the current one. */
  async function versionsIn(client: Client, threadId: string) {
    const { messages } = await selectThread(client, threadId, FIELDS);
    return messages.map(({ text, versions }) => ({
      text,
      versions: versions.map(
        ({ isCurrent, newest }) =>
          newest.messages.map((message) => message.text).join(', ') + (isCurrent ? ' *' : ''),
      ),
    }));
  }

  it('has the newest state of each branch, oldest version first', async ({ client }) => {
    const threadId = await conversation(client, 'one', 'two', 'three');
    expect((await versionsIn(client, threadId)).flatMap(({ versions }) => versions)).toEqual([]);
    await edit(client, threadId, { editMessageId: 'two', input: say('2', 'two') });
    const versions = [
      'one, echo: one, two, echo: two, three, echo: three',
      'one, echo: one, 2, echo: 2 *',
    ];
    expect(await versionsIn(client, threadId)).toEqual([
      { text: 'one', versions: [] },
      { text: 'echo: one', versions: [] },
      { text: '2', versions },
      { text: 'echo: 2', versions: [] },
    ]);
  });

  it.for(['one', 'two'])('has new answers too, also to message "%s"', async (text, { client }) => {
    const threadId = await conversation(client, 'one', 'two');
    const place = ['one', 'two'].indexOf(text) * 2 + 1;
    const answerId = (await messagesOf(client, threadId))[place]?.id;
    await edit(client, threadId, { editMessageId: answerId });
    const versions = (await versionsIn(client, threadId))[place]?.versions;
    const until = (last: number) =>
      ['one', 'echo: one', 'two', 'echo: two'].slice(0, last + 1).join(', ');
    expect(versions).toEqual([until(3), `${until(place)} *`]);
  });

  it('leads back to an earlier branch, on which the thread goes on', async ({ client }) => {
    const threadId = await conversation(client, 'one', 'two');
    await edit(client, threadId, { editMessageId: 'one', input: say('1', 'one') });
    const { messages } = await selectThread(client, threadId, FIELDS);
    const checkpointId = messages[0]?.versions[0]?.newest.checkpointId;
    const input = { checkpointId, values: null };
    await client.gql(
      `mutation ($id: ID!, $input: UpdateThreadStateInput!) { updateThreadState(id: $id, input: $input) { checkpointId } }`,
      { id: threadId, input },
    );
    await edit(client, threadId, { input: say('three') });
    const branch = 'one, echo: one, two, echo: two, three, echo: three';
    expect((await versionsIn(client, threadId))[0]).toEqual({
      text: 'one',
      versions: [`${branch} *`, '1, echo: 1'],
    });
  });
});
