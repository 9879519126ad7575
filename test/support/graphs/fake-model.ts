import { AIMessageChunk } from '@langchain/core/messages';
import { ChatGenerationChunk } from '@langchain/core/outputs';
import { FakeStreamingChatModel } from '@langchain/core/utils/testing';
import type { LangGraphRunnableConfig } from '@langchain/langgraph';

/** Streams its pieces unchanged. The fake model of LangChain loses the pieces of tool calls. */
class PiecesModel extends FakeStreamingChatModel {
  override async *_streamResponseChunks(
    ...[, , run]: Parameters<FakeStreamingChatModel['_streamResponseChunks']>
  ) {
    for (const message of this.chunks) {
      const chunk = new ChatGenerationChunk({ text: message.text, message });
      yield chunk;
      await run?.handleLLMNewToken(chunk.text, undefined, undefined, undefined, undefined, {
        chunk,
      });
    }
  }
}

/** Streams these pieces as a model does, and returns its answer. */
export function say(
  config: LangGraphRunnableConfig,
  pieces: ConstructorParameters<typeof AIMessageChunk>[0][],
  tags: string[] = [],
): Promise<AIMessageChunk> {
  const model = new PiecesModel({ chunks: pieces.map((piece) => new AIMessageChunk(piece)) });
  return model.withConfig({ tags }).invoke('go', config);
}
