import type { ObjectFieldBuilder } from '@pothos/core';
import { readSize } from '../db/page.ts';
import { builder } from '../graphql/builder.ts';
import { STATE_COST } from '../graphql/cost.ts';
import { isRecord, recordOf } from '../json.ts';
import {
  idOrNull,
  intOr,
  MessageMissingError,
  messageText,
  messageType,
  recordsIn,
  textOr,
} from './message.ts';
import { entryOf, type ShownMessage } from './shown-messages.ts';
import type { State } from './states.ts';

export const MessageTypeRef = builder.enumType('MessageType', {
  description: 'Role of the author of a message.',
  values: {
    HUMAN: {},
    AI: {},
    SYSTEM: {},
    TOOL: { description: 'The result of a tool call.' },
    OTHER: { description: 'Any further LangChain type.' },
  } as const,
});

/** The first checkpoint with a message, in descriptions. */
const ENTRY =
  'from it on, all states of this branch have a message with this messageId. Null in an event, without a messageId, before a checkpoint has the message, and if the first checkpoint is more than 10,000 checkpoints back.';

/** A stored part of a message. Its fields may have any type. */
type Part = Record<string, unknown>;

const ToolCallRef = builder.objectRef<Part>('ToolCall').implement({
  description: 'A tool call requested by a model.',
  fields: (t) => ({
    toolCallId: t.id({ nullable: true, resolve: ({ id }) => idOrNull(id) }),
    name: t.string({
      description: 'Name of the tool. Empty if no text is stored.',
      resolve: ({ name }) => textOr('', name),
    }),
    args: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Arguments of the call, by name.',
      resolve: ({ args }) => args,
    }),
  }),
});

const ToolCallChunkRef = builder.objectRef<Part>('ToolCallChunk').implement({
  description: 'A fragment of a streamed tool call.',
  fields: (t) => ({
    index: t.int({
      nullable: true,
      description: 'Position of the call within its message.',
      resolve: ({ index }) => intOr(null, index),
    }),
    toolCallId: t.id({
      nullable: true,
      description: 'Only in the first fragment of a call.',
      resolve: ({ id }) => idOrNull(id),
    }),
    name: t.string({
      nullable: true,
      description: 'Only in the first fragment of a call.',
      resolve: ({ name }) => textOr(null, name),
    }),
    args: t.string({
      nullable: true,
      description: 'Next fragment of the arguments. All fragments joined form JSON.',
      resolve: ({ args }) => textOr(null, args),
    }),
  }),
});

export const TokenUsageRef = builder.objectRef<Part>('TokenUsage').implement({
  description:
    'Token counts of a message, or of all messages of a run. A count is 0 if no valid Int is stored.',
  fields: (t) => ({
    inputTokens: t.int({ resolve: ({ input_tokens: tokens }) => intOr(0, tokens) }),
    outputTokens: t.int({ resolve: ({ output_tokens: tokens }) => intOr(0, tokens) }),
    totalTokens: t.int({ resolve: ({ total_tokens: tokens }) => intOr(0, tokens) }),
  }),
});

export const MessageRef = builder.objectRef<ShownMessage>('Message').implement({
  description:
    "A message in LangChain's standard form. If a graph stores a value of a different type, the field reads as null, or as empty if it is non-null.",
  fields: (t) => ({
    messageId: t.id({
      nullable: true,
      description: 'Equal for all chunks of a message and in every checkpoint with the message.',
      resolve: ({ message }) => idOrNull(message.id),
    }),
    type: t.field({ type: MessageTypeRef, resolve: ({ message }) => messageType(message) }),
    name: t.string({ nullable: true, resolve: ({ message }) => textOr(null, message.name) }),
    content: t.field({
      type: 'JSON',
      description:
        'Text or a list of content blocks. Different JSON is returned as stored; null is returned as an empty text.',
      resolve: ({ message }) => message.content ?? '',
    }),
    text: t.string({
      description: 'The text of all content blocks, joined.',
      resolve: ({ message }) => messageText(message),
    }),
    toolCalls: t.field({
      type: [ToolCallRef],
      description: 'Complete calls only. A call in a chunk is complete when its arguments parse.',
      resolve: ({ message }) => recordsIn(message['tool_calls']),
    }),
    toolCallChunks: t.field({
      type: [ToolCallChunkRef],
      description: 'Tool call fragments of a chunk. Empty for a whole message.',
      resolve: ({ message }) => recordsIn(message['tool_call_chunks']),
    }),
    toolCallId: t.id({
      nullable: true,
      description: 'For a TOOL message: id of the answered call.',
      resolve: ({ message }) => idOrNull(message['tool_call_id']),
    }),
    usage: t.field({
      type: TokenUsageRef,
      nullable: true,
      description: 'Token counts reported by the model; null if it reported none.',
      resolve: ({ message: { usage_metadata: usage } }) => (isRecord(usage) ? usage : null),
    }),
    responseMetadata: t.field({
      type: 'JSONObject',
      description: 'Details reported by the model, such as its name and the finish reason.',
      resolve: ({ message }) => recordOf(message.response_metadata),
    }),
    additionalKwargs: t.field({
      type: 'JSONObject',
      description: 'Provider-specific additions without a field of their own.',
      resolve: ({ message }) => recordOf(message.additional_kwargs),
    }),
  }),
});

builder.objectFields(MessageRef, (t) => ({
  createdAt: t.field({
    type: 'DateTime',
    nullable: true,
    description: `Time of the first checkpoint with the message: ${ENTRY}`,
    resolve: async (shown, _args, app) => (await entryOf(app, shown))?.createdAt,
  }),
  runId: t.id({
    nullable: true,
    description: `The run of the first checkpoint with the message: ${ENTRY} Also null if a client wrote the checkpoint.`,
    resolve: async (shown, _args, app) => (await entryOf(app, shown))?.runId,
  }),
}));

const MOST_MESSAGES = 1000;

/** `extensions` of a field with messages of a state. */
export const MESSAGES_COST = { ...STATE_COST, largestPage: MOST_MESSAGES };

type MessagesFields = ObjectFieldBuilder<(typeof builder)['$inferSchemaTypes'], never>;

/** Arguments of a field with messages of a state. */
export function messagesArgs({ arg }: Pick<MessagesFields, 'arg'>) {
  return {
    last: arg.int({
      required: true,
      defaultValue: 100,
      description: 'Number of messages at the end of the page, at most 1,000.',
    }),
    before: arg.id({
      description:
        'messageId of a message in this list: the page ends before it. Of several messages with this id, the last one counts.',
    }),
  };
}

/** The messages of a state before the message `before`, by default the newest; oldest first. */
export async function pageOfMessages(
  state: State | undefined,
  { last, before }: { last: number; before?: string | null | undefined },
): Promise<ShownMessage[]> {
  const count = readSize('last', last, { max: MOST_MESSAGES });
  const asked = { count, before: before ?? undefined };
  if (!state && asked.before !== undefined) throw new MessageMissingError(asked.before);
  if (!state) return [];
  const messages = await state.messages(asked);
  const page = { row: state.row, messages };
  return messages.map((message) => ({ message, page }));
}
