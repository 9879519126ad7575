import type { VariablesOf } from 'gql.tada';
import type { Client } from './client.ts';
import { operation } from './graphql.ts';
import { selectThread } from './select-thread.ts';

/** The fields that `linesOf` reads. */
export const MESSAGES = `messages(last: 50) { messageId type text toolCalls { toolCallId name args } }`;

interface ShownMessage {
  type: string;
  text: string;
  toolCalls: { args: unknown }[];
}

/** Returns the messages of a thread, each as a line of text. */
export async function conversation(client: Client, id: string): Promise<string[]> {
  return linesOf((await selectThread(client, id, `state { ${MESSAGES} }`)).state?.messages);
}

/** Writes each message as a line. The line of a tool call has the call's query in brackets. */
export function linesOf(messages: ShownMessage[] = []): string[] {
  return messages.map(
    ({ type, text, toolCalls }) =>
      `${type}: ${toolCalls.length > 0 ? `[${toolCalls.map(({ args }) => queryOf(args)).join()}]` : text}`,
  );
}

const queryOf = (args: unknown) => (args as { query: string }).query;

/** Returns the lines of a question to the graph `lookUp` and of its answer. */
export const exchange = (question: string) => [
  `HUMAN: ${question}`,
  `AI: [${question}]`,
  `TOOL: all about ${question}`,
  `AI: I found: all about ${question}`,
];

export const UPDATE = operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { checkpointId parentCheckpointId next tasks { name error } ${MESSAGES} }
}`);

export async function update(
  client: Client,
  id: string,
  input: VariablesOf<typeof UPDATE>['input'],
) {
  return (await client.gql(UPDATE, { id, input })).updateThreadState;
}
