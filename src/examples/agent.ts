import type { BaseChatModel } from '@langchain/core/language_models/chat_models';
import type { BaseMessage } from '@langchain/core/messages';
import { AIMessage, SystemMessage } from '@langchain/core/messages';
import { getEnvironmentVariable } from '@langchain/core/utils/env';
import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import { END, MessagesZodState, START, StateGraph } from '@langchain/langgraph';
import { z } from 'zod';
import { OfflineModel } from './offline-model.ts';

const Settings = z.object({
  model_name: z
    .string()
    .optional()
    .describe('openai or anthropic; by default the one whose key is set.'),
  model: z.string().optional().describe("The provider's name of the model, e.g. gpt-4o-mini."),
  system_prompt: z.string().optional().describe('What the model is told before the conversation.'),
  max_retries: z
    .int()
    .min(0)
    .optional()
    .describe('How often a call is tried again that may succeed then; 2 by default.'),
});
type Settings = z.infer<typeof Settings>;

/** LangChain's own 6 keep a run waiting for two minutes while its provider is down. */
const MAX_RETRIES = 2;

/** A package is imported at its first use: a server without a key never loads it. */
const PROVIDERS = {
  openai: {
    key: 'OPENAI_API_KEY',
    open: async (maxRetries: number, model = 'gpt-4o-mini') =>
      new (await import('@langchain/openai')).ChatOpenAI({ model, maxRetries }),
  },
  anthropic: {
    key: 'ANTHROPIC_API_KEY',
    open: async (maxRetries: number, model = 'claude-sonnet-4-5') =>
      new (await import('@langchain/anthropic')).ChatAnthropic({ model, maxRetries }),
  },
};
type ProviderName = keyof typeof PROVIDERS;

/** A chat agent. Its settings come from the run's `configurable` or `context`, so that assistants can differ. */
export const graph = new StateGraph(MessagesZodState, Settings)
  .addNode('agent', callModel)
  .addEdge(START, 'agent')
  .addEdge('agent', END)
  .compile({ name: 'agent' });

async function callModel(
  { messages }: { messages: BaseMessage[] },
  config: LangGraphRunnableConfig<Settings>,
): Promise<{ messages: BaseMessage[] }> {
  const settings: Settings = { ...config.configurable, ...config.context };
  const model = await openModel(settings);
  const prompt = settings.system_prompt ? [new SystemMessage(settings.system_prompt)] : [];
  try {
    return { messages: [await model.invoke([...prompt, ...messages.map(asText)], config)] };
  } catch (error) {
    throw withoutKey(error);
  }
}

/** A provider refuses the content blocks of another provider. Messages of a model keep only their text and tool calls. */
function asText(message: BaseMessage): BaseMessage {
  if (!AIMessage.isInstance(message) || typeof message.content === 'string') return message;
  const { id, name, text, tool_calls: calls = [] } = message;
  return new AIMessage({ id, name, content: text, tool_calls: calls });
}

/** Errors may contain a key: OpenAI repeats the ends of a wrong key, and fetch the whole key if a header cannot hold it. */
function withoutKey(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const keys = Object.values(PROVIDERS).flatMap(({ key }) => getEnvironmentVariable(key) || []);
  const message = keys
    .reduce((text, key) => text.replaceAll(key, '***'), thrown.message)
    .replaceAll(/\bsk-[\w.*…-]*[\w*]|[\w-]*\*{3,}[\w-]*/g, '***');
  if (message === thrown.message) return thrown;
  // A new error: the stack of the old error contains the old message.
  return Object.assign(new Error(message), { name: thrown.constructor.name });
}

async function openModel(settings: Settings): Promise<BaseChatModel> {
  const { model_name: name, model, max_retries: maxRetries = MAX_RETRIES } = settings;
  if (name !== undefined && !isProvider(name)) {
    throw new Error(`model_name is "${name}"; it must be ${Object.keys(PROVIDERS).join(' or ')}.`);
  }
  const provider = name ?? Object.keys(PROVIDERS).filter(isProvider).find(hasKey);
  if (provider && hasKey(provider)) return PROVIDERS[provider].open(maxRetries, model);
  return new OfflineModel(provider ?? 'default');
}

function isProvider(name: string): name is ProviderName {
  return Object.hasOwn(PROVIDERS, name);
}

function hasKey(name: ProviderName): boolean {
  return Boolean(getEnvironmentVariable(PROVIDERS[name].key));
}
