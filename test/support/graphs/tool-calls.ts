import { AIMessage, ToolMessage } from '@langchain/core/messages';
import { dispatchCustomEvent } from '@langchain/core/callbacks/dispatch';
import { RunnableLambda } from '@langchain/core/runnables';
import { tool } from '@langchain/core/tools';
import { FakeLLM, FakeRetriever } from '@langchain/core/utils/testing';
import { END, getConfig, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph';
import { ToolNode } from '@langchain/langgraph/prebuilt';
import { z } from 'zod';
import { Log } from './channels.ts';
import { say } from './fake-model.ts';

const City = z.object({ city: z.string() });

const forecast = tool(
  async function* ({ city }) {
    yield `Looking at ${city}`;
    yield { sky: 'grey' };
    return `Rain in ${city}.`;
  },
  { name: 'forecast', description: 'Tells the weather, with partial results.', schema: City },
);

const closed = tool(
  ({ city }) => {
    throw new RangeError(`${city} is closed.`);
  },
  { name: 'closed', description: 'Always fails.', schema: City },
);

const secret = tool(({ city }) => city, {
  name: 'secret',
  description: 'Has the hidden tag.',
  schema: City,
  tags: ['langsmith:hidden'],
});

/**
 * Node `model` streams "Let me", " look." and then calls the tools `forecast` (with partial results), `closed` (fails) and
 * `secret` (hidden). Node `tools` is a ToolNode.
 */
const caller = new StateGraph(MessagesAnnotation)
  .addNode('model', async (_state, config) => {
    const answer = await say(config, ['Let me', ' look.']);
    const calls = ['forecast', 'closed', 'secret'].map((name, n) => ({
      id: `call-${n}`,
      name,
      args: { city: 'Rome' },
    }));
    return { messages: [new AIMessage({ content: answer.content, tool_calls: calls })] };
  })
  .addNode('tools', new ToolNode([forecast, closed, secret]))
  .addEdge(START, 'model')
  .addEdge('model', 'tools')
  .addEdge('tools', END);

export const toolRun = caller.compile();

/** Node `inner` is the graph `toolRun`; node `after` counts its tool messages. */
export const nestedToolRun = new StateGraph(MessagesAnnotation)
  .addNode('inner', caller.compile())
  .addNode('after', ({ messages }) => ({
    messages: [new AIMessage(`${messages.filter(ToolMessage.isInstance).length} results`)],
  }))
  .addEdge(START, 'inner')
  .addEdge('inner', 'after')
  .addEdge('after', END)
  .compile();

/** Node `chain` reads a chain of two steps as a stream, asks a model without chat and a retriever, and sends the custom event `note`. */
export const traced = new StateGraph(Log)
  .addNode('chain', async (_state, config) => {
    const chain = RunnableLambda.from((n: number) => n + 1).pipe(
      RunnableLambda.from((n: number) => `n${n}`),
    );
    const log: string[] = [];
    for await (const piece of await chain.stream(1, config)) log.push(piece);
    log.push(await new FakeLLM({ response: 'Hi' }).invoke('Say hi', config));
    const documents = await new FakeRetriever().invoke('cats', config);
    await dispatchCustomEvent('note', { documents: documents.length }, config);
    return { log };
  })
  .addEdge(START, 'chain')
  .addEdge('chain', END)
  .compile();

/** Logs the names of LangChain's handlers in its configuration. */
export const handlers = new StateGraph(Log)
  .addNode('look', () => {
    const manager: unknown = getConfig()?.callbacks;
    const list =
      typeof manager === 'object' && manager !== null && 'handlers' in manager
        ? (manager.handlers as { name: string }[])
        : [];
    return { log: list.map(({ name }) => name) };
  })
  .addEdge(START, 'look')
  .addEdge('look', END)
  .compile();
