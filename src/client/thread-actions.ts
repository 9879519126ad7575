import { CANCEL_RUNS, CREATE_RUN, type RunInput } from './documents.ts';
import { newId, withMessageIds } from './messages.ts';
import type { Outbox } from './outbox.ts';
import {
  acceptRequest,
  addRequest,
  failedTurn,
  openRequests,
  refuseRequest,
  removeTurn,
  type Model,
  type RunRequest,
} from './thread-model.ts';
import { loadOlder, showVersion } from './thread-history.ts';
import { isAboutCredentials, persist, type Transport } from './transport.ts';
import type { ThreadActions } from './types.ts';

export interface ThreadOptions {
  /** An assistant's UUID, or a graph's name for its default assistant. */
  assistantId: string;
  /** Further fields of CreateRunInput for each run, such as `context` or `multitaskStrategy`. */
  run?: Omit<RunInput, keyof RunRequest | 'threadId' | 'assistantId' | 'idempotencyKey'>;
  /** Reads the versions of messages. Default: false. */
  versions?: boolean;
}

interface Needs {
  transport: Transport;
  threadId: string;
  options: ThreadOptions;
  outbox: Outbox;
  getModel(): Model;
  setModel(model: Model): void;
  onError(error: Error | undefined): void;
  /** Called when the server has accepted a run. */
  refresh(): void;
}

type Answer = Parameters<ThreadActions['answer']>;

interface SendingActions extends ThreadActions {
  /** Sends the requests of an earlier page. */
  sendUnsent(): void;
}

export function createThreadActions(needs: Needs): SendingActions {
  const { transport, threadId, outbox, setModel } = needs;
  /** Requests that `stop` found without an answer. */
  const stopped = new Set<string>();

  async function createRun(request: RunRequest, key = newId()): Promise<void> {
    outbox.add(key, request);
    setModel(addRequest(needs.getModel(), key, request));
    await act(async () => {
      try {
        setModel(acceptRequest(needs.getModel(), key, await sendRequest(needs, request, key)));
        outbox.remove(key);
        needs.refresh();
      } catch (error) {
        setModel(refuseRequest(needs.getModel(), key, error as Error));
        // After a login, the next page sends the request.
        if (!isAboutCredentials(error)) outbox.remove(key);
        throw error;
      }
      if (stopped.delete(key)) await cancelRuns();
    });
  }

  async function cancelRuns(): Promise<void> {
    await persist(() => transport.request(CANCEL_RUNS, { threadId }));
  }

  /** An action puts its refusal into the state. */
  async function act(action: () => Promise<void>): Promise<void> {
    needs.onError(undefined);
    await action().catch(needs.onError);
  }

  return {
    sendUnsent() {
      const open = openRequests(needs.getModel());
      for (const { key, request } of outbox.list())
        if (!open.includes(key)) void createRun(request, key);
    },
    send: (input) => createRun({ input: withMessageIds(input) }),
    async retry(messageId) {
      const request = removeFailed(needs, messageId);
      if (request) await createRun(request);
    },
    dismiss: (messageId) => void removeFailed(needs, messageId),
    async stop() {
      for (const key of openRequests(needs.getModel())) stopped.add(key);
      await act(cancelRuns);
    },
    answer: (...answer) => createRun({ command: answerTo(needs.getModel(), answer) }),
    edit: (messageId, text) => createRun({ editMessageId: messageId, input: withMessageIds(text) }),
    regenerate: (messageId) => createRun({ editMessageId: messageId }),
    showVersion: (version) => act(() => showVersion(needs, version)),
    loadOlder: () => act(() => loadOlder(needs)),
  };
}

/** Removes a failed message. Returns its request. */
function removeFailed({ getModel, setModel }: Needs, messageId: string): RunRequest | undefined {
  const turn = failedTurn(getModel(), messageId);
  if (turn) setModel(removeTurn(getModel(), turn));
  return turn?.request;
}

/** The answer to an interrupt. Without an id, it answers the only one. */
function answerTo({ interrupts }: Model, answer: Answer): RunRequest['command'] {
  const only = interrupts.length === 1 ? interrupts[0]?.id : undefined;
  const [interruptId, value] = answer.length === 2 ? answer : [only, answer[0]];
  return { resume: [{ interruptId, value }] };
}

/** Returns the id of the run. The key makes a repeated request safe: it never creates a second run. */
async function sendRequest(
  { transport, threadId, options }: Needs,
  request: RunRequest,
  idempotencyKey: string,
): Promise<string> {
  const { assistantId, run } = options;
  const own = { ...request, threadId, assistantId, idempotencyKey };
  const input: RunInput = { ifThreadMissing: 'CREATE', ...run, ...own };
  const { createRun } = await persist(() => transport.request(CREATE_RUN, { input }));
  return createRun?.id ?? '';
}
