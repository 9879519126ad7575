import {
  Command,
  MemorySaver,
  MessagesAnnotation,
  Send,
  START,
  StateGraph,
} from '@langchain/langgraph';
import { RemoteGraph } from '@langchain/langgraph/remote';
import { describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';

const remote = ({ url }: Pick<Client, 'url'>, graphId: string) => new RemoteGraph({ graphId, url });
const say = (content: string) => ({ messages: [{ role: 'user', content }] });
const textsOf = ({ messages }: { messages?: { content: unknown }[] }) =>
  messages?.map(({ content }) => content);

async function all<Item>(
  items: AsyncIterable<Item> | Promise<AsyncIterable<Item>>,
): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of await items) found.push(item);
  return found;
}

describe('A RemoteGraph of LangGraph', () => {
  it('runs a graph of the server, and streams it', async ({ client }) => {
    const echo = remote(client, 'echo');
    expect(textsOf(await echo.invoke(say('hi')))).toEqual(['hi', 'echo: hi']);
    const chunks = await all(echo.stream(say('hi'), { streamMode: ['updates', 'values'] }));
    expect(chunks.map(([mode]) => mode)).toEqual(['values', 'updates', 'values']);
  });

  it('is a node of another graph', async ({ client }) => {
    const parent = new StateGraph(MessagesAnnotation)
      .addNode('remote', remote(client, 'echo'))
      .addEdge(START, 'remote')
      .compile({ checkpointer: new MemorySaver() });
    const output = await parent.invoke(say('hi'), { configurable: { thread_id: randomId() } });
    expect(textsOf(output)).toEqual(['hi', 'echo: hi']);
  });

  it('throws the interrupt of a graph, and resumes it with a Command', async ({ client }) => {
    const config = { configurable: { thread_id: await client.createThread() } };
    const ask = remote(client, 'ask');
    await expect(ask.invoke({}, config)).rejects.toMatchObject({
      interrupts: [{ value: { question: 'Go on?' } }],
    });
    expect(await ask.getState(config)).toMatchObject({ next: ['ask'] });
    await ask.invoke(new Command({ resume: 'yes' }), config);
    expect(await ask.getState(config)).toMatchObject({ next: [] });
    const states = await all(ask.getStateHistory(config));
    expect(states.map(({ next }) => next)).toEqual([[], ['ask'], ['before'], ['__start__']]);
  });

  it('goes to a node with an input of its own, as Send says', async ({ client }) => {
    const config = { configurable: { thread_id: await client.createThread() } };
    const goto = [new Send('work', { job: 'a' }), new Send('work', { job: 'b' })];
    const { log } = await remote(client, 'fanOut').invoke(new Command({ goto }), config);
    expect(log).toEqual(['work a', 'work b', 'done']);
  });
});
