import { z } from 'zod';
import type { Viewer } from '../auth/viewer.ts';
import { isUuid } from '../db/uuid.ts';
import { hasKeys, isRecord, recordOf } from '../json.ts';
import { jsonObject, unsupported } from '../rest/fields.ts';
import { command } from '../graphs/rest-command.ts';
import type { Command } from './command.ts';
import type { NewRun } from './request.ts';
import { headersForGraph } from './rest-headers.ts';
import { REST_MODES, recordedModes, type RestMode } from './rest-modes.ts';

const Checkpoint = z.looseObject({
  checkpoint_id: z.string().nullish(),
  checkpoint_ns: z.string().nullish(),
});

const nodes = z.union([z.string(), z.array(z.string()).max(100)]).nullish();

/** The body of a request for a run. */
export const RunBody = z.looseObject({
  assistant_id: z.string().describe('The id of an assistant, or the name of a graph.'),
  input: z.unknown().optional(),
  command: command.nullish().describe('Instead of input; with both, the command counts.'),
  checkpoint_id: z.string().nullish(),
  checkpoint: Checkpoint.nullish(),
  config: z.looseObject({ configurable: jsonObject.nullish() }).nullish(),
  context: jsonObject.nullish(),
  metadata: jsonObject.nullish(),
  stream_mode: z.union([z.enum(REST_MODES), z.array(z.enum(REST_MODES))]).nullish(),
  stream_subgraphs: z.boolean().nullish(),
  stream_resumable: z.boolean().nullish().describe('Every stream is resumable.'),
  interrupt_before: nodes,
  interrupt_after: nodes,
  multitask_strategy: z.enum(['reject', 'enqueue', 'interrupt', 'rollback']).nullish(),
  if_not_exists: z.enum(['reject', 'create']).nullish(),
  on_completion: z.enum(['delete', 'keep']).nullish(),
  on_disconnect: z.enum(['continue', 'cancel']).nullish(),
  durability: z.enum(['sync', 'async', 'exit']).nullish(),
  checkpoint_during: z.boolean().nullish().describe('Deprecated: false is durability exit.'),
  after_seconds: z.number().nullish(),
  strict_resume: z.boolean().nullish().describe('Every answer is checked strictly.'),
  langsmith_tracer: z
    .looseObject({ project_name: z.string().nullish(), example_id: z.string().nullish() })
    .nullish(),
  webhook: unsupported('webhook'),
  feedback_keys: unsupported('feedback_keys'),
});

export type RunBody = z.infer<typeof RunBody>;

/** The request for the domain. `threadId` null: a stateless run. */
export function toNewRun(
  body: RunBody,
  threadId: string | null,
  { headers, viewer }: { headers: Headers; viewer: Viewer },
): NewRun {
  const { configurable, ...config } = recordOf(body.config);
  const { start, own } = splitConfigurable(recordOf(configurable));
  const instruction = body.command && toCommand(body.command);
  const restModes = askedModes(body.stream_mode);
  return {
    threadId,
    assistantId: body.assistant_id,
    // Clients send an empty input with a command.
    input: instruction ? null : body.input,
    command: instruction,
    checkpointId: body.checkpoint_id ?? body.checkpoint?.checkpoint_id ?? start.id,
    checkpointNamespace: body.checkpoint?.checkpoint_ns ?? start.namespace,
    config: {
      ...config,
      configurable: {
        ...headersForGraph(headers, viewer),
        ...own,
        ...tracerKeys(body.langsmith_tracer),
      },
    },
    context: body.context,
    metadata: body.metadata,
    streamModes: recordedModes(restModes),
    restModes,
    streamSubgraphs: body.stream_subgraphs ?? false,
    interruptBefore: toList(body.interrupt_before),
    interruptAfter: toList(body.interrupt_after),
    acceptsUnknownNodes: true,
    multitaskStrategy: toUpper(body.multitask_strategy ?? 'enqueue'),
    ifThreadMissing: toUpper(body.if_not_exists ?? 'reject'),
    onCompletion: toUpper(body.on_completion ?? 'delete'),
    durability: toUpper(body.durability ?? (body.checkpoint_during === false ? 'exit' : 'async')),
    afterSeconds: body.after_seconds,
    idempotencyKey: headers.get('idempotency-key'),
  };
}

/** No mode, and an empty list, mean `values`. */
function askedModes(modes: RestMode | readonly RestMode[] | null | undefined): RestMode[] {
  const list: RestMode[] = [modes ?? []].flat();
  return list.length > 0 ? [...new Set(list)] : ['values'];
}

/** The SDKs put the checkpoint to start from into the configuration; the server sets the other keys of LangGraph itself. */
function splitConfigurable(configurable: Record<string, unknown>) {
  const { checkpoint_id: id, checkpoint_ns: namespace, checkpoint_map: _, ...rest } = configurable;
  const own = Object.entries(rest).filter(([key]) => !key.startsWith('__'));
  return {
    start: {
      id: typeof id === 'string' ? id : null,
      namespace: typeof id === 'string' && typeof namespace === 'string' ? namespace : '',
    },
    own: Object.fromEntries(own),
  };
}

function tracerKeys(tracer: RunBody['langsmith_tracer']): Record<string, unknown> {
  return {
    ...(tracer?.project_name != null && { langsmith_project: tracer.project_name }),
    ...(tracer?.example_id != null && { langsmith_example_id: tracer.example_id }),
  };
}

function toCommand({ resume, update, goto }: z.infer<typeof command>): Command {
  return {
    ...(resume !== undefined && resume !== null && { resume: toAnswers(resume) }),
    ...(update != null && { update: Array.isArray(update) ? fromEntries(update) : update }),
    ...(goto != null && { goto }),
  };
}

/** An update as pairs of key and value. */
function fromEntries(update: unknown[]): unknown {
  const isPair = (entry: unknown) => Array.isArray(entry) && typeof entry[0] === 'string';
  return update.every(isPair) ? Object.fromEntries(update as [string, unknown][]) : update;
}

/** As LangGraph reads it: an object with ids of interrupts as keys has an answer for each, any other value is the only answer. */
function toAnswers(resume: unknown): NonNullable<Command['resume']> {
  if (isRecord(resume) && hasKeys(resume) && Object.keys(resume).every(isInterruptId)) {
    return Object.entries(resume).map(([interruptId, value]) => ({ interruptId, value }));
  }
  return [{ value: resume }];
}

/** LangGraph's ids have 32 digits; interrupts that share one have a UUID. */
function isInterruptId(key: string): boolean {
  return /^[0-9a-f]{32}$/.test(key) || isUuid(key);
}

function toList(names: string | string[] | null | undefined): string[] {
  return names == null ? [] : [names].flat();
}

function toUpper<Name extends string>(name: Name): Uppercase<Name> {
  return name.toUpperCase() as Uppercase<Name>;
}
