import { createHash } from 'node:crypto';
import type * as messages from '@langchain/core/messages';
import type * as langgraph from '@langchain/langgraph';

/** A conversation of two nodes. Each answers with a kilobyte. */
export function createTurns(
  { MessagesAnnotation, START, StateGraph }: typeof langgraph,
  { AIMessage }: typeof messages,
) {
  const answer = (node: string) => (state: typeof MessagesAnnotation.State) => {
    const id = `${node} ${state.messages.length}`;
    return { messages: [new AIMessage({ id, content: kilobyte(id) })] };
  };
  return new StateGraph(MessagesAnnotation)
    .addNode('think', answer('think'))
    .addNode('answer', answer('answer'))
    .addEdge(START, 'think')
    .addEdge('think', 'answer')
    .compile();
}

/** Makes a text with a compressed size of at least half. */
export function kilobyte(seed: string): string {
  let text = '';
  for (let i = 0; text.length < 1000; i++) {
    text += `${createHash('sha256').update(`${seed} ${i}`).digest('hex')} `;
  }
  return text.slice(0, 1000);
}
