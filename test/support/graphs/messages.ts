import { AIMessage, AIMessageChunk, RemoveMessage, ToolMessage } from '@langchain/core/messages';
import { FakeStreamingChatModel } from '@langchain/core/utils/testing';
import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import {
  Annotation,
  END,
  interrupt,
  MessagesAnnotation,
  pushMessage,
  START,
  StateGraph,
} from '@langchain/langgraph';
import { whenThere } from './gate-file.ts';
import { say } from './fake-model.ts';
import { Talk } from './channels.ts';

/** Answers `echo: …` to the last message, at once. */
export const echo = new StateGraph(MessagesAnnotation)
  .addNode('echo', ({ messages }) => ({
    messages: [new AIMessage(`echo: ${messages.at(-1)?.text}`)],
  }))
  .addEdge(START, 'echo')
  .addEdge('echo', END)
  .compile();

const usage = (input_tokens: number, output_tokens: number) => ({
  usage_metadata: { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens },
});

/** Node `draft` adds a message with 11 tokens. Node `answer` replaces the draft by a message with 22 tokens. */
export const metered = new StateGraph(MessagesAnnotation)
  .addNode('draft', ({ messages }) => ({
    messages: [
      new AIMessage({ id: `draft ${messages.length}`, content: 'draft', ...usage(10, 1) }),
    ],
  }))
  .addNode('answer', ({ messages }) => ({
    messages: [
      new RemoveMessage({ id: String(messages.at(-1)?.id) }),
      new AIMessage({ content: 'answer', ...usage(20, 2) }),
    ],
  }))
  .addEdge(START, 'draft')
  .addEdge('draft', 'answer')
  .addEdge('answer', END)
  .compile();

/** Node `llm` streams 200 tokens of one character, a to z repeatedly, without a pause. */
export const tokens = new StateGraph(MessagesAnnotation)
  .addNode('llm', async (_state, config) => {
    const model = new FakeStreamingChatModel({
      chunks: Array.from(
        { length: 200 },
        (_, n) => new AIMessageChunk(String.fromCodePoint(97 + (n % 26))),
      ),
    });
    return { messages: [await model.invoke('go', config)] };
  })
  .addEdge(START, 'llm')
  .addEdge('llm', END)
  .compile();

/** Node `call_model` answers `You said: …`. The supersteps of seeds.test.ts are written for this graph. */
export const chat = new StateGraph(MessagesAnnotation)
  .addNode('call_model', ({ messages }) => ({
    messages: [new AIMessage(`You said: ${messages.at(-1)?.text}`)],
  }))
  .addEdge(START, 'call_model')
  .addEdge('call_model', END)
  .compile();

/** Node `model` streams two tool calls with their arguments in pieces. Node `tools` answers them. */
export const toolCalls = new StateGraph(MessagesAnnotation)
  .addNode('model', async (_state, config) => {
    const piece = (index: number, args: string, start: { id?: string; name?: string } = {}) => ({
      content: '',
      tool_call_chunks: [{ type: 'tool_call_chunk' as const, index, args, ...start }],
    });
    const answer = await say(config, [
      'Let me look.',
      piece(0, '', { id: 'call-0', name: 'weather' }),
      piece(0, '{"city":'),
      piece(0, '"Paris"}'),
      piece(1, '{"city":"Rome"}', { id: 'call-1', name: 'weather' }),
    ]);
    return { messages: [answer] };
  })
  .addNode('tools', ({ messages }) => {
    const last = messages.at(-1);
    const calls = AIMessage.isInstance(last) ? (last.tool_calls ?? []) : [];
    return {
      messages: calls.map(
        ({ id, name, args }) =>
          new ToolMessage({ tool_call_id: id ?? '', name, content: `Rain in ${args['city']}.` }),
      ),
    };
  })
  .addEdge(START, 'model')
  .addEdge('model', 'tools')
  .compile();

/**
 * Five nodes with a model each. The models of `nostream` and `langsmith-nostream` have a tag against streams. The model of
 * `secret` has the tag langsmith:hidden. The node `hidden` has this tag itself.
 */
export const tagged = new StateGraph(Talk)
  .addSequence(
    Object.entries({
      aloud: [],
      nostream: ['nostream'],
      'langsmith-nostream': ['langsmith:nostream'],
      secret: ['langsmith:hidden'],
      hidden: [],
    }).map(([name, tags]): [string, (state: unknown, config: LangGraphRunnableConfig) => any] => [
      name,
      async (_state, config) => ({
        log: [name],
        messages: [await say(config, [`${name} `, 'speaks'], tags)],
      }),
    ]),
  )
  .addEdge(START, 'aloud')
  .compile();
Object.assign(tagged.nodes['hidden'] ?? {}, { tags: ['langsmith:hidden'] });

/** Node `llm` streams "one ", "two ", "three ", waits for the `file` of the input, and streams "four ", "five ", "six ". */
export const halves = new StateGraph(
  Annotation.Root({ ...MessagesAnnotation.spec, file: Annotation<string> }),
)
  .addNode('llm', async ({ file }, config) => {
    const first = await say(config, ['one ', 'two ', 'three ']);
    await whenThere(file, config.signal);
    return { messages: [first, await say(config, ['four ', 'five ', 'six '])] };
  })
  .addEdge(START, 'llm')
  .addEdge('llm', END)
  .compile();

/** Node `llm` streams "one two three " and "do re mi " in pieces, at the same time. */
export const duet = new StateGraph(MessagesAnnotation)
  .addNode('llm', async (_state, config) => {
    const lines = [
      ['one ', 'two ', 'three '],
      ['do ', 're ', 'mi '],
    ];
    return { messages: await Promise.all(lines.map((pieces) => say(config, pieces))) };
  })
  .addEdge(START, 'llm')
  .addEdge('llm', END)
  .compile();

/** Node `draft` streams messages as `halves` does. Node `confirm` asks "Send it?" and answers with the answer. */
export const drafts = new StateGraph(
  Annotation.Root({ ...MessagesAnnotation.spec, file: Annotation<string> }),
)
  .addNode('draft', async ({ file }, config) => {
    const first = await say(config, ['one ', 'two ', 'three ']);
    await whenThere(file, config.signal);
    return { messages: [first, await say(config, ['four ', 'five ', 'six '])] };
  })
  .addNode('confirm', () => ({ messages: [new AIMessage(`sent: ${interrupt('Send it?')}`)] }))
  .addEdge(START, 'draft')
  .addEdge('draft', 'confirm')
  .addEdge('confirm', END)
  .compile();

/** Node `llm` streams "one ", waits for the `file` of the input, and streams "two ". The id of the message is always "answer". */
export const fixedId = new StateGraph(
  Annotation.Root({ ...MessagesAnnotation.spec, file: Annotation<string> }),
)
  .addNode('llm', async ({ file }, config) => {
    const emit = (content: string) =>
      pushMessage(new AIMessageChunk({ id: 'answer', content }), { ...config, stateKey: null });
    emit('one ');
    await whenThere(file, config.signal);
    emit('two ');
    return {};
  })
  .addEdge(START, 'llm')
  .addEdge('llm', END)
  .compile();

/** Answers with two different messages of a kilobyte each. */
export const talkative = new StateGraph(MessagesAnnotation)
  .addNode('think', ({ messages }) => sayKilobyte(`thought ${messages.length}`))
  .addNode('answer', ({ messages }) => sayKilobyte(`answer ${messages.length}`))
  .addEdge(START, 'think')
  .addEdge('think', 'answer')
  .addEdge('answer', END)
  .compile();

function sayKilobyte(name: string) {
  return { messages: [new AIMessage(kilobyte(name))] };
}

/** Returns a kilobyte of letters. It compresses badly and differs for each name. */
export function kilobyte(name: string): string {
  let state = Array.from(name).reduce(
    (sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 65_521,
    7,
  );
  const letters = Array.from({ length: 1000 }, () => {
    state = (state * 48_271 + 11) % 2_147_483_647;
    return String.fromCharCode(97 + (state % 26));
  });
  return letters.join('');
}

/**
 * Node `agent` sends each question to node `tools` as a tool call, and answers with the result. Node `tools` waits for the `file` of
 * the input, if the input has one.
 */
export const lookUp = new StateGraph(
  Annotation.Root({ ...MessagesAnnotation.spec, file: Annotation<string> }),
)
  .addNode('agent', ({ messages }) => {
    const last = messages.at(-1);
    const call = { id: `call-${messages.length}`, name: 'search', args: { query: last?.text } };
    const found = ToolMessage.isInstance(last);
    return {
      messages: [
        found
          ? new AIMessage(`I found: ${last.text}`)
          : new AIMessage({ content: '', tool_calls: [call] }),
      ],
    };
  })
  .addNode('tools', async ({ messages, file }, { signal }) => {
    if (file) await whenThere(file, signal);
    const last = messages.at(-1);
    const calls = AIMessage.isInstance(last) ? (last.tool_calls ?? []) : [];
    return {
      messages: calls.map(
        ({ id, name, args }) =>
          new ToolMessage({ tool_call_id: id ?? '', name, content: `all about ${args['query']}` }),
      ),
    };
  })
  .addEdge(START, 'agent')
  .addConditionalEdges(
    'agent',
    ({ messages }) => {
      const last = messages.at(-1);
      return AIMessage.isInstance(last) && last.tool_calls?.length ? 'tools' : END;
    },
    ['tools', END],
  )
  .addEdge('tools', 'agent')
  .compile();
