import type { StateSnapshot } from '@langchain/langgraph';
import type { App } from '../app.ts';
import { readSize } from '../db/page.ts';
import { isRecord } from '../json.ts';
import { builder } from '../schema/builder.ts';
import { connectionOf } from '../schema/connection.ts';
import { interruptsOf } from './history.ts';
import { namesIn } from './interrupts.ts';
import { messageText, messageType, messagesIn } from './message.ts';
import { toPlain, type PlainMessage } from './plain.ts';
import { findState, valuesOf, writesOf, type State } from './states.ts';

// ── Messages ─────────────────────────────────────────────────────────────────────────────────

const MessageType = builder.enumType('MessageType', {
  description: 'Who speaks.',
  values: {
    HUMAN: {},
    AI: {},
    SYSTEM: {},
    TOOL: { description: 'The result of a tool call.' },
    OTHER: { description: "Any other of LangChain's types." },
  } as const,
});

interface ToolCall {
  id?: string | null;
  name?: string;
  args?: unknown;
}

const ToolCallRef = builder.objectRef<ToolCall>('ToolCall').implement({
  description: 'A tool that a model asks to be called.',
  fields: (t) => ({
    toolCallId: t.id({ nullable: true, resolve: ({ id }) => id }),
    name: t.string({ resolve: ({ name }) => name ?? '' }),
    args: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What the tool is called with, by name.',
      resolve: ({ args }) => args,
    }),
  }),
});

interface ToolCallChunk {
  index?: number | null;
  id?: string | null;
  name?: string | null;
  args?: string | null;
}

const ToolCallChunkRef = builder.objectRef<ToolCallChunk>('ToolCallChunk').implement({
  description: 'A piece of a tool call that is still being written.',
  fields: (t) => ({
    index: t.int({
      nullable: true,
      description: 'Which of the calls of its message it belongs to.',
      resolve: ({ index }) => index,
    }),
    toolCallId: t.id({
      nullable: true,
      description: 'Of the first piece of a call.',
      resolve: ({ id }) => id,
    }),
    name: t.string({
      nullable: true,
      description: 'Of the first piece of a call.',
      resolve: ({ name }) => name,
    }),
    args: t.string({
      nullable: true,
      description: 'The next piece of the arguments: joined, they are JSON.',
      resolve: ({ args }) => args,
    }),
  }),
});

interface Usage {
  input_tokens?: number;
  output_tokens?: number;
  total_tokens?: number;
}

const TokenUsageRef = builder.objectRef<Usage>('TokenUsage').implement({
  description: 'What a message cost, in tokens.',
  fields: (t) => ({
    inputTokens: t.int({ resolve: ({ input_tokens: tokens }) => tokens ?? 0 }),
    outputTokens: t.int({ resolve: ({ output_tokens: tokens }) => tokens ?? 0 }),
    totalTokens: t.int({ resolve: ({ total_tokens: tokens }) => tokens ?? 0 }),
  }),
});

export const MessageRef = builder.objectRef<PlainMessage>('Message').implement({
  description: "A message of LangChain's standard shape.",
  fields: (t) => ({
    messageId: t.id({
      nullable: true,
      description: 'The same for all chunks of one message, and in every checkpoint that holds it.',
      resolve: ({ id }) => id,
    }),
    type: t.field({ type: MessageType, resolve: messageType }),
    name: t.string({ nullable: true, resolve: ({ name }) => name }),
    content: t.field({
      type: 'JSON',
      description: 'Text, or a list of content blocks.',
      resolve: ({ content }) => content ?? '',
    }),
    text: t.string({
      description: 'The text of the content, blocks joined.',
      resolve: messageText,
    }),
    toolCalls: t.field({
      type: [ToolCallRef],
      description: 'Complete calls only; those of a chunk are complete once their arguments parse.',
      resolve: ({ tool_calls: calls }) => (Array.isArray(calls) ? (calls as ToolCall[]) : []),
    }),
    toolCallChunks: t.field({
      type: [ToolCallChunkRef],
      description: 'Of a chunk: the pieces of tool calls in it. Empty for a whole message.',
      resolve: ({ tool_call_chunks: chunks }) =>
        Array.isArray(chunks) ? (chunks as ToolCallChunk[]) : [],
    }),
    toolCallId: t.id({
      nullable: true,
      description: 'Of a TOOL message: the call that it answers.',
      resolve: ({ tool_call_id: id }) => id as string | null,
    }),
    usage: t.field({
      type: TokenUsageRef,
      nullable: true,
      description: 'What the model counted, where it told.',
      resolve: ({ usage_metadata: usage }) => (isRecord(usage) ? usage : null),
    }),
    responseMetadata: t.field({
      type: 'JSONObject',
      description: 'What the model told of its answer: its own name, why it stopped.',
      resolve: ({ response_metadata: metadata }) => metadata ?? {},
    }),
    additionalKwargs: t.field({
      type: 'JSONObject',
      description: "What the model's provider added that no other field has.",
      resolve: ({ additional_kwargs: kwargs }) => kwargs ?? {},
    }),
  }),
});

const MOST_MESSAGES = 1000;

/** The newest messages of a state, oldest first. */
export async function lastMessages(
  state: State | undefined,
  { argument, last }: { argument: string; last: number },
): Promise<PlainMessage[]> {
  const size = readSize(argument, last, { max: MOST_MESSAGES });
  return messagesIn(await valuesOf(state)).slice(-size);
}

// ── Interrupts ───────────────────────────────────────────────────────────────────────────────

export const InterruptRef = builder.prismaObject('Interrupt', {
  description: 'A question that a graph asks a person through interrupt().',
  fields: (t) => ({
    id: t.exposeID('id', {
      description:
        'Unique over all threads and questions: a node that asks twice asks with two ids.',
    }),
    value: t.expose('value', { type: 'JSON', nullable: true, description: 'What is asked.' }),
    responseSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'JSON Schema of the answer, where the graph gave one.',
      resolve: ({ responseSchema }) => (isRecord(responseSchema) ? responseSchema : null),
    }),
    node: t.exposeString('node', { description: 'The node that asked.' }),
    threadId: t.exposeID('threadId'),
    checkpointId: t.exposeID('checkpointId', {
      description: 'The checkpoint at which the node asked, in checkpointNamespace.',
    }),
    checkpointNamespace: t.exposeString('namespace', {
      description: "Empty for the graph itself; a subgraph's path otherwise.",
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});

// ── Checkpoints ──────────────────────────────────────────────────────────────────────────────

export const CheckpointSourceRef = builder.enumType('CheckpointSource', {
  description: 'How a state came about.',
  values: {
    INPUT: { description: 'A run was given its input.' },
    LOOP: { description: 'The nodes of a step have run.' },
    UPDATE: { description: 'The state was edited by hand.' },
    FORK: { description: 'An older state was taken up again.' },
  } as const,
});

type GraphTask = StateSnapshot['tasks'][number];

/** A task, and the state that it belongs to. */
interface TaskOf {
  task: GraphTask & { result?: unknown };
  state: State;
}

export const CheckpointRef = builder.objectRef<State>('Checkpoint');

const TaskRef = builder.objectRef<TaskOf>('Task').implement({
  description: 'One execution of a node that a state calls for.',
  fields: (t) => ({
    taskId: t.id({ resolve: ({ task }) => task.id }),
    name: t.string({ description: 'The node.', resolve: ({ task }) => task.name }),
    path: t.stringList({
      description: 'How the task came about: __pregel_pull by an edge, __pregel_push by a Send.',
      resolve: ({ task }) => (task.path ?? []).map(String),
    }),
    error: t.string({
      nullable: true,
      description: 'What the task failed with.',
      resolve: ({ task }) => errorText(task.error),
    }),
    interrupts: t.field({
      type: [InterruptRef],
      description: 'What the task asked.',
      resolve: ({ task, state }, _args, app) => interruptsOf(app, state.row, [task]),
    }),
    result: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'What the task wrote, the last time that a run did it; null while it has not finished.',
      resolve: ({ task }) => toPlain(task.result ?? null),
    }),
    state: t.field({
      type: CheckpointRef,
      nullable: true,
      description: 'The state of the subgraph that this task runs; null where it runs none.',
      resolve: ({ task, state }, _args, app) => subgraphState(app, task, state),
    }),
  }),
});

CheckpointRef.implement({
  description: 'One state of a thread.',
  fields: (t) => ({
    checkpointId: t.id({
      description: "Orders a thread's checkpoints in time. A copy of a thread has the same ones.",
      resolve: ({ row }) => row.checkpointId,
    }),
    threadId: t.id({ resolve: ({ row }) => row.threadId }),
    namespace: t.string({
      description: "Empty for the graph itself; a subgraph's path otherwise.",
      resolve: ({ row }) => row.namespace,
    }),
    parentCheckpointId: t.id({ nullable: true, resolve: ({ row }) => row.parentId }),
    parent: t.field({
      type: CheckpointRef,
      nullable: true,
      description: 'The checkpoint that this one was made from.',
      resolve: (state) => state.parent(),
    }),
    children: t.field({
      type: [CheckpointRef],
      description:
        'The checkpoints that were made from this one: more than one where the thread was forked.',
      resolve: (state) => state.children(),
    }),
    source: t.field({ type: CheckpointSourceRef, resolve: ({ row }) => row.source }),
    step: t.int({
      description: '-1 for the input, then 0, 1, 2 …',
      resolve: ({ row }) => row.step,
    }),
    runId: t.id({
      nullable: true,
      description: 'The run that wrote it; null after an update by hand.',
      resolve: ({ row }) => row.runId,
    }),
    values: t.field({
      type: 'JSON',
      description: 'What the channels of the graph hold, by name.',
      resolve: valuesOf,
    }),
    messages: t.field({
      type: [MessageRef],
      description: 'The messages in the values, oldest first; empty where there are none.',
      args: {
        last: t.arg.int({ required: true, defaultValue: 100, description: 'At most 1,000.' }),
      },
      resolve: (state, { last }) => lastMessages(state, { argument: 'last', last }),
    }),
    writes: t.field({
      type: 'JSONObject',
      nullable: true,
      description:
        'What each node wrote in the step that led here, as a list where it ran several times; null where nothing is known, as for an input.',
      resolve: writesOf,
    }),
    next: t.stringList({
      description: 'The nodes to run next; empty where the graph has finished.',
      resolve: async (state) => (await state.snapshot()).next.map(String),
    }),
    tasks: t.field({
      type: [TaskRef],
      description: 'What is to be done next, and what has become of it.',
      resolve: async (state) =>
        (await state.snapshot()).tasks.map((task) => ({ task: task as TaskOf['task'], state })),
    }),
    interrupts: t.field({
      type: [InterruptRef],
      description: 'What the tasks asked, those of subgraphs included.',
      resolve: async (state, _args, app) =>
        interruptsOf(app, state.row, (await state.snapshot()).tasks),
    }),
    metadata: t.field({
      type: 'JSONObject',
      description:
        'What LangGraph keeps of a checkpoint, with the metadata of its run, run_id, graph_id, assistant_id and thread_id.',
      resolve: ({ row }) => ({ ...row.metadata, thread_id: row.threadId }),
    }),
    createdAt: t.field({ type: 'DateTime', resolve: ({ row }) => row.createdAt }),
  }),
});

export const Checkpoints = connectionOf(CheckpointRef, 'Checkpoint', { totalCount: true });

function errorText(error: unknown): string | null {
  if (error === undefined || error === null) return null;
  if (isRecord(error) && typeof error['message'] === 'string') return error['message'];
  return typeof error === 'string' ? error : JSON.stringify(error);
}

async function subgraphState(
  app: App,
  { state: found, interrupts }: GraphTask,
  { row }: State,
): Promise<State | undefined> {
  const config =
    found && ('configurable' in found ? found : 'config' in found ? found.config : undefined);
  const namespace = config?.configurable?.['checkpoint_ns'];
  if (typeof namespace !== 'string') return undefined;
  const own = await findState(app, row.threadId, { namespace });
  if (own || interrupts.length === 0) return own;
  // A subgraph that keeps its state from run to run has it in a namespace without tasks.
  return findState(app, row.threadId, { namespace: namesIn(namespace) });
}
