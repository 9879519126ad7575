import { checkConfig, mergeConfig, mergeContext } from '../assistants/config.ts';
import { readAssistantId } from '../assistants/input.ts';
import type { RunAssistant, RunAssistants } from '../assistants/run-assistant.ts';
import { userOf, type GraphUser } from '../auth/graph-user.ts';
import { canRead } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Config } from '../config.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { isUuid, newId, parseUuid } from '../db/uuid.ts';
import { BadInputError, NotFoundError } from '../errors.ts';
import type { StreamMode } from '../events/event.ts';
import type {
  Assistant,
  Durability,
  MultitaskStrategy,
  OnCompletion,
  Run,
} from '../generated/prisma/client.ts';
import { configurationOf } from '../graphs/configuration.ts';
import { inputRefusal } from '../graphs/input.ts';
import type { CompiledGraph, Graphs } from '../graphs/load.ts';
import { recordOf } from '../json.ts';
import { checkCommand, type Command } from './command.ts';
import { findRunByKey, readKey, type IdempotencyKey } from './idempotency.ts';
import { checkSizes, checkTimes, toInputJson } from './limits.ts';

/** A request for a run, as a client sends it. */
export interface NewRun {
  /** Undefined: a stateless run, on a thread of its own. */
  threadId?: string | null | undefined;
  /** An assistant's UUID, or a graph's name. */
  assistantId: string;
  input?: unknown;
  /** Instead of input. */
  command?: Command | null | undefined;
  /** The checkpoint to start from: the thread forks. */
  checkpointId?: string | null | undefined;
  checkpointNamespace: string;
  /** A message of the current state: the run starts before it. */
  editMessageId?: string | null | undefined;
  config?: Record<string, unknown> | null | undefined;
  context?: Record<string, unknown> | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
  streamModes: readonly StreamMode[];
  /** The stream modes as a REST client named them. */
  restModes?: readonly string[] | undefined;
  streamSubgraphs: boolean;
  /** Node names, or "*" for every node. */
  interruptBefore?: readonly string[] | null | undefined;
  interruptAfter?: readonly string[] | null | undefined;
  /** Accepts names that are no nodes of the graph, as LangGraph's own servers do: no step stops there. */
  acceptsUnknownNodes?: boolean | undefined;
  multitaskStrategy: MultitaskStrategy;
  ifThreadMissing: 'REJECT' | 'CREATE';
  onCompletion: OnCompletion;
  durability: Durability;
  /** The shortest delay before the start. */
  afterSeconds?: number | null | undefined;
  /** The longest time after the start; then the run ends in TIMEOUT. */
  timeoutSeconds?: number | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** A request with the permission to run. */
export interface AuthorizedRun {
  viewer: Viewer;
  /** With the changes by handlers. */
  request: NewRun;
  /** The request of the client: an idempotency key belongs to it. */
  asked: NewRun;
}

/** A new run after all checks without a lock. */
export interface CheckedRun extends ConfiguredRun {
  /** The viewer of the request, with its permission to run. */
  viewer: Viewer;
  /** The name of the request in error messages: `input`, or `inputs[2]`. */
  argument: string;
  /** Undefined for a stateless run. */
  threadId: string | undefined;
  /** For a thread that the run creates. */
  threadMetadata: Record<string, unknown>;
  checkpointId: string | null;
  /** Acceptance finds the checkpoint before this message. */
  editMessageId: string | null;
  inputJson: string | null;
  /** For a command with answers, acceptance adds the id of each interrupt. */
  commandJson: string | null;
  ifThreadMissing: 'REJECT' | 'CREATE';
  /** Null unless the run is stateless. */
  onCompletion: OnCompletion | null;
  key: IdempotencyKey | undefined;
}

/** The run of an earlier request with the same idempotency key. */
export interface RepeatedRun {
  repeated: Run;
}

export interface CheckNeeds {
  config: Config;
  sql: Sql;
  graphs: Graphs;
  assistants: RunAssistants;
}

/** The run of an earlier request with the same key. */
export async function findRepeated(
  { sql: { query } }: Pick<CheckNeeds, 'sql'>,
  { viewer, asked }: AuthorizedRun,
  argument: string,
): Promise<RepeatedRun | undefined> {
  const key = readKey(`${argument}.idempotencyKey`, asked);
  const repeated = key && (await findRunByKey(query, viewer, key));
  return repeated && { repeated };
}

/**
 * Checks a request and its graph, without a lock. Throws on a bad request. Only after a failed check, it looks for an earlier run
 * with the same key: the acceptance finds the others. Gain over a WebSocket: 12 % of the time to the first update of `streamRun`.
 */
export async function checkRequest(
  app: CheckNeeds,
  authorized: AuthorizedRun,
  argument: string,
): Promise<CheckedRun | RepeatedRun> {
  const { viewer, request, asked } = authorized;
  const key = readKey(`${argument}.idempotencyKey`, asked);
  try {
    return { ...(await checkNewRun(app, { viewer, argument, request })), viewer, key };
  } catch (error) {
    // Limits and graphs may have changed since an earlier request, but a repetition returns the same run.
    const repeated = await findRepeated(app, authorized, argument);
    if (repeated) return repeated;
    throw error;
  }
}

async function checkNewRun(
  app: CheckNeeds,
  { viewer, argument, request: asked }: { viewer: Viewer; argument: string; request: NewRun },
): Promise<Omit<CheckedRun, 'viewer' | 'key'>> {
  const request = await withoutHead(app, viewer, asked);
  const threadId = readUuid(`${argument}.threadId`, request.threadId);
  const checkpointId = readUuid(`${argument}.checkpointId`, request.checkpointId) ?? null;
  checkCombinations(argument, request);
  checkEdit(argument, request);
  checkTimes(app.config, argument, request);
  checkConfig(app.config, `${argument}.config`, request.config);
  const assistant = await findRunAssistant(
    app,
    viewer,
    `${argument}.assistantId`,
    request.assistantId,
  );
  const run = configureRun(app.config, assistant, request);
  checkSizes(app.config, argument, run);
  const inputJson = toInputJson(app.config, `${argument}.input`, run.input);
  const commandJson = toInputJson(app.config, `${argument}.command`, run.command);
  await checkAgainstGraph(app, argument, { ...run, threadId, user: userOf(viewer) });
  return {
    ...run,
    argument,
    threadId,
    // The filters of handlers look for what they wrote into the metadata of the run.
    threadMetadata: viewer.ask ? (request.metadata ?? {}) : {},
    checkpointId,
    editMessageId: request.editMessageId ?? null,
    inputJson,
    commandJson,
    ifThreadMissing: request.ifThreadMissing,
    onCompletion: threadId === undefined ? request.onCompletion : null,
  };
}

/**
 * An answer goes to the newest checkpoint, so a request with an answer may name this checkpoint: LangGraph's useStream sends the
 * checkpoint that it shows with each request.
 */
async function withoutHead(
  { sql: { query } }: { sql: Sql },
  viewer: Viewer,
  request: NewRun,
): Promise<NewRun> {
  const { threadId, checkpointId, checkpointNamespace: namespace, command } = request;
  if (threadId == null || checkpointId == null || !command?.resume) return request;
  if (!isUuid(threadId) || !isUuid(checkpointId)) return request;
  const [head] = await query(
    sql`SELECT 1 FROM "CheckpointHead" h JOIN "Thread" t ON t."id" = h."threadId"
      WHERE h."threadId" = ${threadId} AND h."namespace" = ${namespace} AND h."checkpointId" = ${checkpointId} AND ${canRead(viewer, 't')}`,
  );
  return head ? { ...request, checkpointId: null, checkpointNamespace: '' } : request;
}

function readUuid(argument: string, id: string | null | undefined): string | undefined {
  return id == null ? undefined : parseUuid(argument, id);
}

/** Refuses fields that contradict each other. */
function checkCombinations(argument: string, request: NewRun): void {
  const { threadId, input, command, checkpointId, checkpointNamespace } = request;
  if (command && input != null) {
    throw new BadInputError(`${argument}.command`, 'Give input or command, not both.');
  }
  if (threadId == null && checkpointId != null) {
    throw new BadInputError(
      `${argument}.checkpointId`,
      (name) =>
        `${name('checkpointId')} needs a ${name('threadId')}: the thread of the checkpoint.`,
    );
  }
  if (checkpointId == null && checkpointNamespace !== '') {
    throw new BadInputError(
      `${argument}.checkpointNamespace`,
      (name) => `${name('checkpointNamespace')} needs a ${name('checkpointId')}.`,
    );
  }
  if (threadId == null && command?.resume) {
    throw new BadInputError(
      `${argument}.command.resume`,
      (name) =>
        `command.resume needs a ${name('threadId')}: a stateless run has no pending interrupts.`,
    );
  }
  if (checkpointId != null && command?.resume) {
    throw new BadInputError(
      `${argument}.command.resume`,
      (name) =>
        `${name('checkpointId')} and command.resume exclude each other: only interrupts of the newest checkpoint accept answers.`,
    );
  }
}

function checkEdit(argument: string, request: NewRun): void {
  if (request.editMessageId == null) return;
  const refuse = (why: string): never => {
    throw new BadInputError(`${argument}.editMessageId`, why);
  };
  if (request.threadId == null)
    refuse('editMessageId needs a threadId: the thread of the message.');
  if (request.checkpointId != null) refuse('Give editMessageId or checkpointId, not both.');
  if (request.command) refuse('Give editMessageId or command, not both.');
}

async function findRunAssistant(
  app: Pick<CheckNeeds, 'graphs' | 'assistants'>,
  viewer: Viewer,
  argument: string,
  idOrGraphId: string,
): Promise<RunAssistant> {
  const assistant = await app.assistants.find(viewer, readAssistantId(app, argument, idOrGraphId));
  if (!assistant) throw new NotFoundError('Assistant', idOrGraphId);
  if (!app.graphs.has(assistant.graphId)) {
    throw new BadInputError(
      argument,
      `Assistant ${assistant.id} runs the graph "${assistant.graphId}", but the server no longer has this graph.`,
    );
  }
  return assistant;
}

type ConfiguredRun = ReturnType<typeof configureRun>;

/** The assistant's configuration with the request's on top. It does not depend on the thread or its earlier runs. */
function configureRun({ runSeconds }: Config, assistant: RunAssistant, request: NewRun) {
  return {
    id: newId(),
    assistantId: assistant.id,
    assistantVersion: assistant.rowVersion,
    graphId: assistant.graphId,
    input: request.input ?? null,
    command: request.command ? withoutNull(request.command) : null,
    checkpointNamespace: request.checkpointNamespace,
    config: mergeConfig(assistant.config, request.config ?? {}),
    context: mergeContext(assistant.context, request.context),
    metadata: { ...ownMetadata(assistant), ...request.metadata },
    streamModes: [...new Set(request.streamModes)],
    restModes: [...(request.restModes ?? [])],
    streamSubgraphs: request.streamSubgraphs,
    interruptBefore: request.interruptBefore ?? [],
    interruptAfter: request.interruptAfter ?? [],
    acceptsUnknownNodes: request.acceptsUnknownNodes ?? false,
    multitaskStrategy: request.multitaskStrategy,
    durability: request.durability,
    afterSeconds: request.afterSeconds ?? 0,
    timeoutSeconds: request.timeoutSeconds ?? runSeconds,
  };
}

/** Without a null `resume`: in a stored command, this key marks a run with answers. */
function withoutNull({ update, goto, resume }: Command): Command {
  return { update, goto, ...(resume && { resume }) };
}

/** Without `created_by`: the creator of an assistant is not the creator of its runs. */
function ownMetadata({ metadata }: Assistant): Record<string, unknown> {
  const { created_by: _, ...own } = recordOf(metadata);
  return own;
}

/** Refuses unknown nodes, and commands and inputs not accepted by the graph of the run. */
async function checkAgainstGraph(
  { graphs }: Pick<CheckNeeds, 'graphs'>,
  argument: string,
  run: ConfiguredRun & { threadId: string | undefined; user: GraphUser | null },
): Promise<void> {
  const configuration = configurationOf({ ...run, runId: run.id });
  // If a graph factory throws, the run is accepted and then fails with that error.
  const graph = await graphs.resolve(run.graphId, configuration).catch(() => undefined);
  const nodes = graph && nodeNames(graph);
  const { graphId } = run;
  if (run.command) checkCommand(`${argument}.command`, run.command, { graphId, nodes });
  if (!graph || !nodes) return;
  if (!run.acceptsUnknownNodes) checkBreakpoints(argument, run, nodes);
  const refusal = run.input === null ? undefined : await inputRefusal(graph, run.input);
  if (refusal !== undefined) {
    throw new BadInputError(
      `${argument}.input`,
      `The graph "${graphId}" refuses this input: ${refusal}`,
    );
  }
}

function checkBreakpoints(
  argument: string,
  run: Pick<ConfiguredRun, 'graphId' | 'interruptBefore' | 'interruptAfter'>,
  nodes: readonly string[],
): void {
  for (const list of ['interruptBefore', 'interruptAfter'] as const) {
    const unknown = run[list].find((name) => name !== '*' && !nodes.includes(name));
    if (unknown === undefined) continue;
    throw new BadInputError(
      `${argument}.${list}`,
      `The graph "${run.graphId}" has no node "${unknown}"; it has ${nodes.join(', ')}.`,
    );
  }
}

function nodeNames({ nodes }: CompiledGraph): string[] {
  return Object.keys(nodes).filter((name) => !name.startsWith('__'));
}
