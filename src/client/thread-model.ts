import type { RunInput, StoredThread, ThreadEvent } from './documents.ts';
import { addStreamed, inputMessages, sameOrNew, storedMessages } from './messages.ts';
import type { ThreadInterrupt, ThreadMessage, ThreadRun, ThreadState } from './types.ts';

/** The fields of CreateRunInput that differ between requests. */
export type RunRequest = Pick<RunInput, 'input' | 'command' | 'editMessageId'>;

/** An unfinished run, or a request for a run. The state lacks some of its messages. */
interface Turn {
  /** The idempotency key of a request of this client; otherwise the id of the run. */
  key: string;
  /** Unknown until the server has accepted the request. */
  run?: ThreadRun;
  inputs: readonly ThreadMessage[];
  streamed: readonly ThreadMessage[];
  /** A request of this client; it may be repeated. */
  request?: RunRequest;
  /** An edit: the new branch has neither this message nor those after it. */
  replacesId?: string;
  error?: Error;
}

/** A thread as this client knows it. All functions return a new model. */
export interface Model {
  messages: readonly ThreadMessage[];
  /** The thread has messages before these. */
  hasOlder: boolean;
  interrupts: readonly ThreadInterrupt[];
  turns: readonly Turn[];
  lastRun: ThreadRun | undefined;
}

type State = Omit<StoredThread, 'eventCursor' | 'stateUpdatedAt'>;

/** The state of a thread that does not exist. */
export const NOTHING: State = {
  messages: [],
  interrupts: [],
  runs: { nodes: [] },
  unfinished: { nodes: [] },
};

export const EMPTY: Model = {
  messages: [],
  hasOlder: false,
  interrupts: [],
  turns: [],
  lastRun: undefined,
};

/** The largest number of messages that the server sends at once. */
const PAGE = 1000;

/** A new request of this client. */
export function addRequest(model: Model, key: string, request: RunRequest): Model {
  const turn: Turn = { key, request, inputs: inputMessages(request.input), streamed: [] };
  const replacesId = request.editMessageId;
  return { ...model, turns: [...model.turns, replacesId ? { ...turn, replacesId } : turn] };
}

/** The server has accepted a request. */
export function acceptRequest(model: Model, key: string, runId: string): Model {
  const run: ThreadRun = { id: runId, status: 'PENDING', attempt: 0, error: null };
  const byEvents = model.turns.find((turn) => turn.run?.id === runId && turn.key !== key);
  const turns = model.turns
    .filter((turn) => turn !== byEvents)
    .map((turn) => {
      if (turn.key !== key || turn.run) return turn;
      return { ...turn, run, ...(byEvents && { run: byEvents.run, streamed: byEvents.streamed }) };
    });
  return { ...model, turns };
}

/** The server has refused a request. Its messages stay, as failed. */
export function refuseRequest(model: Model, key: string, error: Error): Model {
  const turns = model.turns.flatMap((turn) => {
    if (turn.key !== key) return turn;
    return turn.inputs.length > 0 ? failed(turn, error) : [];
  });
  return { ...model, turns };
}

/** A failed turn has no run any more: its messages wait for `retry` or `dismiss`. */
function failed({ run: _, replacesId: __, ...turn }: Turn, error: Error): Turn {
  return { ...turn, streamed: [], error };
}

export function removeTurn(model: Model, { key }: Turn): Model {
  return { ...model, turns: model.turns.filter((turn) => turn.key !== key) };
}

/** The turn of a failed message. */
export function failedTurn(model: Model, messageId: string): Turn | undefined {
  return model.turns.find(
    ({ error, inputs }) => error && inputs.some(({ id }) => id === messageId),
  );
}

/** The keys of the requests without an answer of the server. */
export function openRequests(model: Model): string[] {
  return model.turns.flatMap(({ key, run, error }) => (run || error ? [] : key));
}

/** The ids of the runs that have ended. Their messages stay until the state has been read again. */
export function endedRuns({ turns }: Model): Set<string> {
  return new Set(turns.flatMap(({ run }) => (run && !isUnfinished(run) ? run.id : [])));
}

/** A run executes: the messages and their versions still change. */
export function isExecuting({ turns }: Model): boolean {
  return turns.some(({ run }) => run?.status === 'RUNNING');
}

function runIds({ turns }: Model): string[] {
  return turns.flatMap(({ run }) => run?.id ?? []);
}

/** Takes the state as the server has it. `before` is the model at the time when the state was requested. */
export function applyState(model: Model, state: State, before: Model): Model {
  const { messages, hasOlder } = withOlder(model, storedMessages(state.messages, model.messages));
  const runs = new Map(state.runs.nodes.map((run) => [run.id, run]));
  const ended = endedRuns(before);
  const deleted = new Set(runIds(before).filter((id) => !runs.has(id)));
  const turns = model.turns.flatMap((turn) => {
    if (!turn.run) return turn;
    const run = laterOf(turn.run, runs.get(turn.run.id));
    // Of a run that has ended meanwhile, the messages may be missing in this state.
    const isOver = ended.has(run.id) || deleted.has(run.id);
    return isOver ? unreadTurn({ ...turn, run }, messages) : { ...turn, run };
  });
  return {
    messages,
    hasOlder,
    interrupts: sameOrNew(model.interrupts, state.interrupts),
    turns: withNewTurns(turns, state),
    lastRun: sameOrNew(
      model.lastRun,
      state.runs.nodes.find((run) => !isUnfinished(run)),
    ),
  };
}

/** The newest messages after the known messages before them. */
function withOlder(
  { messages, hasOlder }: Model,
  newest: readonly ThreadMessage[],
): Pick<Model, 'messages' | 'hasOlder'> {
  if (newest.length < PAGE) return { messages: newest, hasOlder: false };
  const place = messages.findIndex(({ id }) => id === newest[0]?.id);
  if (place < 0) return { messages: newest, hasOlder: true };
  return { messages: [...messages.slice(0, place), ...newest], hasOlder };
}

/** Adds a page of messages before the first one. */
export function addOlder(model: Model, page: StoredThread['messages']): Model {
  const messages = [...storedMessages(page, []), ...model.messages];
  return { ...model, messages, hasOlder: page.length === PAGE };
}

/** Events tell of a start earlier than a state that is read at the same time. */
function laterOf(known: ThreadRun, read: ThreadRun = known): ThreadRun {
  return known.status === 'PENDING' || !isUnfinished(read) ? sameOrNew(known, read) : known;
}

/** Adds unknown unfinished runs, oldest first. */
function withNewTurns(turns: readonly Turn[], { runs, unfinished }: State): readonly Turn[] {
  const inputs = new Map(unfinished.nodes.map(({ id, input }) => [id, input]));
  const isNew = (run: ThreadRun) =>
    isUnfinished(run) && inputs.has(run.id) && !turns.some((turn) => turn.run?.id === run.id);
  return runs.nodes
    .filter(isNew)
    .toReversed()
    .reduce((turns, run) => {
      const turn = adopt(turns, run, inputs.get(run.id));
      return [...turns.filter(({ key }) => key !== turn.key), turn];
    }, turns);
}

/** Of an ended run, only messages of this client are left that the graph has not read, for example after a cancel. */
function unreadTurn(turn: Turn, stored: readonly ThreadMessage[]): Turn[] {
  const { run, inputs, request } = turn;
  const isRead = inputs.every(({ id }) => stored.some((message) => message.id === id));
  const isDone = run?.status === 'SUCCESS' || run?.status === 'INTERRUPTED';
  if (isRead || isDone || !request) return [];
  return [failed(turn, new Error(run?.error?.message ?? 'The run ended before it began.'))];
}

/** A new subscription sends the chunks of unfinished runs from the first on. */
export function forgetStreamed(model: Model): Model {
  return { ...model, turns: model.turns.map((turn) => ({ ...turn, streamed: [] })) };
}

/** The turn of a run: the request of this client with the same messages, or a new one. */
function adopt(turns: readonly Turn[], run: ThreadRun, input: unknown): Turn {
  const inputs = inputMessages(input);
  const isSame = (turn: Turn) =>
    !turn.run && turn.inputs.some(({ id }) => inputs.some((message) => message.id === id));
  const known = turns.find(isSame) ?? { key: run.id, inputs, streamed: [] };
  return { ...known, run };
}

/** Applies an event. Events come once and in order. */
export function applyEvent(model: Model, event: ThreadEvent): Model {
  const { __typename: type, runId } = event;
  if (type === 'RunStartedEvent') return startRun(model, event);
  if (type === 'RunFinishedEvent') return finishRun(model, event);
  if (type !== 'MessagesEvent') return model;
  return changeTurn(model, runId, (turn) => addMessage(model, turn, event));
}

/** A new attempt writes the unfinished messages again, under new ids. */
function startRun(model: Model, event: Extract<ThreadEvent, { __typename: 'RunStartedEvent' }>) {
  const { runId, attempt } = event;
  const run: ThreadRun = { id: runId, status: 'RUNNING', attempt, error: null };
  const old = model.turns.find((turn) => turn.run?.id === runId);
  const turn = old ? { ...old, run } : adopt(model.turns, run, event.run.input);
  const others = model.turns.filter(({ key }) => key !== turn.key);
  const place = model.turns.findIndex(({ key }) => key === turn.key);
  const started: Turn = { ...turn, streamed: [] };
  return { ...model, turns: others.toSpliced(place < 0 ? others.length : place, 0, started) };
}

function addMessage(
  { messages }: Model,
  turn: Turn,
  event: Extract<ThreadEvent, { __typename: 'MessagesEvent' }>,
): Turn {
  const isStored = messages.some(({ id }) => id === event.message.messageId);
  return isStored ? turn : { ...turn, streamed: addStreamed(turn.streamed, event) };
}

/** The turn stays until the state has been read. */
function finishRun(
  model: Model,
  { runId, status, error }: Extract<ThreadEvent, { __typename: 'RunFinishedEvent' }>,
): Model {
  const old = model.turns.find((turn) => turn.run?.id === runId);
  const lastRun: ThreadRun = { id: runId, status, attempt: old?.run?.attempt ?? 0, error };
  const turn = old ? { ...old, run: lastRun } : adopt([], lastRun, undefined);
  const turns = old
    ? model.turns.map((each) => (each === old ? turn : each))
    : [...model.turns, turn];
  return { ...model, turns, lastRun };
}

/** An event of an unknown run changes nothing: the run has ended, and the state has its messages. */
function changeTurn(model: Model, runId: string, change: (turn: Turn) => Turn): Model {
  const turns = model.turns.map((turn) => (turn.run?.id === runId ? change(turn) : turn));
  return { ...model, turns };
}

/** The part of the state of a store that comes from the model. */
export function shownState({
  messages,
  hasOlder,
  interrupts,
  turns,
  lastRun,
}: Model): Omit<ThreadState, 'connection' | 'error'> {
  const isRunning = turns.some(isActive);
  const inOrder = turns.toSorted((one, other) => orderOf(one) - orderOf(other));
  return {
    messages: shownMessages(messages, inOrder),
    hasOlder,
    interrupts: isRunning ? [] : interrupts,
    runs: inOrder.flatMap(({ run }) => (run && isUnfinished(run) ? run : [])),
    lastRun,
    isRunning,
  };
}

/** Until its messages are in the state. A waiting run of another client may be delayed for days. */
function isActive({ run, request, error }: Turn): boolean {
  return !error && (run?.status !== 'PENDING' || request !== undefined);
}

/** The order of turns: executing, waiting, not accepted. */
function orderOf({ run }: Turn): number {
  if (!run) return 2;
  return run.status === 'PENDING' ? 1 : 0;
}

function isUnfinished({ status }: ThreadRun): boolean {
  return status === 'PENDING' || status === 'RUNNING';
}

function shownMessages(stored: readonly ThreadMessage[], turns: readonly Turn[]) {
  const shown = new Map<string, ThreadMessage>();
  for (const message of stored) shown.set(message.id, message);
  for (const { inputs, streamed, replacesId, error } of turns) {
    if (replacesId !== undefined) removeFrom(shown, replacesId);
    for (const message of [...inputs, ...streamed]) {
      if (!shown.has(message.id))
        shown.set(message.id, error ? withError(message, error) : message);
    }
  }
  return [...shown.values()];
}

/** Removes a message and all messages after it. */
function removeFrom(shown: Map<string, ThreadMessage>, id: string): void {
  const ids = [...shown.keys()];
  const place = ids.indexOf(id);
  if (place >= 0) for (const each of ids.slice(place)) shown.delete(each);
}

function withError(message: ThreadMessage, error: Error): ThreadMessage {
  return { ...message, status: 'failed', error };
}
