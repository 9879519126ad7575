import type { introspection } from './generated/schema.d.ts';

type Enum<Name extends keyof introspection['types']> = introspection['types'][Name] extends {
  enumValues: infer Value;
}
  ? Value
  : never;

export type MessageType = Enum<'MessageType'>;
export type RunStatus = Enum<'RunStatus'>;
export type ThreadStatus = Enum<'ThreadStatus'>;

/** `connecting`: no state yet. `closed`: the store has no listener, or the server has refused (see `error`). */
export type Connection = 'connecting' | 'live' | 'reconnecting' | 'closed';

export interface ThreadMessage {
  /** Its messageId, also the key for a list in React. */
  id: string;
  type: MessageType;
  text: string;
  /** Text or content blocks. While the message streams: its text so far. */
  content: unknown;
  name: string | null;
  toolCalls: ThreadToolCall[];
  /** For a TOOL message: the id of the answered call. */
  toolCallId: string | null;
  /** Path of the subgraph, outermost first; empty for the root graph. */
  namespace: string[];
  /**
   * `stored`: in the state. `streaming`: known from the events of an unfinished run. `sending`: not in the state yet.
   * `failed`: refused, or its run ended before its start; see `error`.
   */
  status: 'stored' | 'streaming' | 'sending' | 'failed';
  error?: Error;
  /** Its versions after edits and new answers, oldest first. Only with the option `versions`, and only if there are several. */
  versions: readonly MessageVersion[];
}

export interface MessageVersion {
  /** The newest checkpoint of the version's branch, for `showVersion`. */
  checkpointId: string;
  isCurrent: boolean;
}

export interface ThreadToolCall {
  toolCallId: string | null;
  name: string;
  /** Undefined until the arguments are complete. */
  args?: unknown;
  /** The JSON text of the arguments so far, while the message streams. */
  argsText?: string;
}

export interface ThreadInterrupt {
  id: string;
  /** The value passed to interrupt(). */
  value: unknown;
  node: string;
  /** JSON Schema of the answer, if the graph supplied a schema. */
  responseSchema: Record<string, unknown> | null;
  createdAt: string;
}

export interface ThreadRun {
  id: string;
  status: RunStatus;
  attempt: number;
  error: { name: string; message: string } | null;
}

export interface ThreadState {
  /** Messages of the state, then those of unfinished runs, then those on their way. */
  messages: readonly ThreadMessage[];
  /** The thread has messages before these: see `loadOlder`. */
  hasOlder: boolean;
  /** Interrupts to answer; empty while a run executes. */
  interrupts: readonly ThreadInterrupt[];
  /** The runs that wait or execute, in this order: executing, then waiting. */
  runs: readonly ThreadRun[];
  /** The last run that ended. */
  lastRun: ThreadRun | undefined;
  /** True while a run executes or a request of this client waits, until `messages` has all of the result. */
  isRunning: boolean;
  connection: Connection;
  /** The last refusal of an action or of the subscription. The next action removes it. */
  error: Error | undefined;
}

/** The promises of all actions resolve when the server has accepted or refused. A refusal is in the state. */
export interface ThreadActions {
  /** Starts a run with a message, or with the input of the graph. The message is in the state at once. */
  send(input: string | Record<string, unknown>): Promise<void>;
  /** Sends a failed message again. */
  retry(messageId: string): Promise<void>;
  /** Removes a failed message. */
  dismiss(messageId: string): void;
  /** Cancels the executing run and the waiting runs. Finished steps stay. */
  stop(): Promise<void>;
  /** Answers an interrupt. The id is optional if there is one interrupt. */
  answer(...answer: [value: unknown] | [interruptId: string, value: unknown]): Promise<void>;
  /** Replaces a message and all messages after it, and runs from there. */
  edit(messageId: string, text: string): Promise<void>;
  /** Replaces an answer and all messages after it with a new answer. */
  regenerate(messageId: string): Promise<void>;
  /** Continues the thread on the branch of this version of a message. Refused while a run executes or is due. */
  showVersion(version: MessageVersion): Promise<void>;
  /** Loads up to 1,000 messages before the first one. */
  loadOlder(): Promise<void>;
}

/** A store for `useSyncExternalStore`. It is connected while it has a listener. */
export interface Store<State> {
  /** Returns a function that removes the listener. */
  subscribe(listener: () => void): () => void;
  /** The same object until the state changes. */
  getSnapshot(): State;
}

export type ThreadStore = Store<ThreadState> & ThreadActions;

export interface ThreadSummary {
  id: string;
  status: ThreadStatus;
  metadata: Record<string, unknown>;
  createdAt: string;
  updatedAt: string;
  /** The beginning and the end of the conversation, if it has messages. */
  preview: { title: string | null; lastText: string | null; lastType: MessageType | null } | null;
}

export interface ThreadListState {
  /** The thread with the latest change first. */
  threads: readonly ThreadSummary[];
  hasMore: boolean;
  connection: Connection;
  error: Error | undefined;
}

export interface ThreadListStore extends Store<ThreadListState> {
  /** Reads the next page. */
  loadMore(): Promise<void>;
}
