import { setTimeout as sleep } from 'node:timers/promises';
import type { CallbackManagerForLLMRun } from '@langchain/core/callbacks/manager';
import { BaseChatModel } from '@langchain/core/language_models/chat_models';
import type { BaseMessage, UsageMetadata } from '@langchain/core/messages';
import { AIMessage, AIMessageChunk } from '@langchain/core/messages';
import type { ChatResult } from '@langchain/core/outputs';
import { ChatGenerationChunk } from '@langchain/core/outputs';

const WORD_MS = 10;

/** Replaces a model without a key. Streams the name of the configuration and the questions, word by word. */
export class OfflineModel extends BaseChatModel {
  readonly #configuration: string;

  /** `configuration` is a name for the answers. */
  constructor(configuration: string) {
    super({});
    this.#configuration = configuration;
  }

  override _llmType(): string {
    return 'offline';
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
    run?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const answer = this.#answer(messages);
    const words = answer.split(/(?<= )/);
    for (const [index, text] of words.entries()) {
      await sleep(WORD_MS, undefined, { signal: options.signal });
      const message = new AIMessageChunk({ content: text });
      if (index === words.length - 1) message.usage_metadata = usage(messages, answer);
      const chunk = new ChatGenerationChunk({ text, message });
      yield chunk; // first: the caller of the model gives the chunk its message id
      await run?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, { chunk });
    }
  }

  override async _generate(messages: BaseMessage[]): Promise<ChatResult> {
    const text = this.#answer(messages);
    const message = new AIMessage({ content: text, usage_metadata: usage(messages, text) });
    return { generations: [{ text, message }] };
  }

  #answer(messages: BaseMessage[]): string {
    const conversation = messages.filter(({ type }) => type !== 'system');
    const questions = conversation.filter(({ type }) => type === 'human').map(({ text }) => text);
    const [first, last] = [questions.at(0), questions.at(-1)];
    const asked = questions.length > 1 ? `You first asked "${first}", and now` : 'You asked';
    return [
      `I run as "${this.#configuration}", offline, since no key is set for it.`,
      `I see ${conversation.length === 1 ? '1 message' : `${conversation.length} messages`}.`,
      ...(last === undefined ? [] : [`${asked} "${last}".`]),
    ].join(' ');
  }
}

/** Counts words for tokens. */
function usage(messages: BaseMessage[], answer: string): UsageMetadata {
  const read = messages.reduce((sum, { text }) => sum + text.split(' ').length, 0);
  const written = answer.split(' ').length;
  return { input_tokens: read, output_tokens: written, total_tokens: read + written };
}
