import type { ThreadMessage } from '../../../../client/types.ts';

/** The results of tools by the ids of their calls, and the messages without those that are shown with their call. */
export function resultsOf(messages: readonly ThreadMessage[]): {
  results: ReadonlyMap<string, ThreadMessage>;
  rest: readonly ThreadMessage[];
} {
  const calls = new Set(
    messages.flatMap(({ toolCalls }) => toolCalls.flatMap(({ toolCallId }) => toolCallId ?? [])),
  );
  const isResult = ({ type, toolCallId }: ThreadMessage) =>
    type === 'TOOL' && toolCallId !== null && calls.has(toolCallId);
  return {
    results: new Map(messages.filter(isResult).map((each) => [each.toolCallId ?? '', each])),
    rest: messages.filter((message) => !isResult(message)),
  };
}
