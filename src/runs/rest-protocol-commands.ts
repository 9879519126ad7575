import { z } from 'zod';
import { describeZodError } from '../describe-zod-error.ts';
import { AppError, IdTakenError, NotFoundError, type ErrorCode } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { RefusedError } from '../http/refused.ts';
import { NotPendingError, type Answer } from '../interrupts/answers.ts';
import { inRestWords } from '../rest/errors.ts';
import { jsonObject } from '../rest/fields.ts';
import type { Call } from '../rest/route.ts';
import { lastNumberBefore, questionsOf } from './current-run.ts';
import { createNew } from './rest-handlers.ts';
import type { RestMode } from './rest-modes.ts';
import { lastSeqOf } from './rest-protocol-stream.ts';
import { RunBody, toNewRun } from './rest-request.ts';

/** A command of LangGraph's protocol. Each method checks its own parameters. */
export const CommandBody = z.looseObject({
  id: z.number().int().min(0),
  method: z.string().describe('run.start or input.respond'),
  params: jsonObject.nullish(),
});

type CommandBody = z.infer<typeof CommandBody>;
export type CommandCall = Call<'/threads/{thread_id}/commands', unknown, CommandBody>;

/** The modes of the channels. */
const MODES: readonly RestMode[] = [
  'values',
  'updates',
  'messages-tuple',
  'tools',
  'custom',
  'tasks',
  'checkpoints',
];

const ofRun = {
  config: RunBody.shape.config,
  context: RunBody.shape.context,
  metadata: RunBody.shape.metadata,
  langsmith_tracer: RunBody.shape.langsmith_tracer,
};

const RunStart = z.looseObject({
  ...ofRun,
  assistant_id: z.string().min(1),
  input: z.unknown().optional(),
  multitask_strategy: RunBody.shape.multitask_strategy,
  multitaskStrategy: RunBody.shape.multitask_strategy,
});

const answer = { interrupt_id: z.string().min(1), response: z.unknown().optional() };

const InputRespond = z
  .looseObject({
    ...ofRun,
    interrupt_id: answer.interrupt_id.nullish(),
    response: answer.response,
    responses: z.array(z.looseObject(answer)).min(1).max(100).nullish(),
    update: z.unknown().optional(),
    goto: z.unknown().optional(),
  })
  .refine(({ interrupt_id: id, responses }) => (id == null) !== (responses == null), {
    message: 'needs interrupt_id with response, or responses',
  });

/** The answer to a command. A failed command is an answer too; only what concerns the whole request has a status of its own. */
export async function answerCommand(call: CommandCall): Promise<object> {
  const { id, method, params } = call.body;
  try {
    const run = await start(call, method, params ?? {});
    const seq = lastSeqOf(await lastNumberBefore(call.app, run));
    return {
      type: 'success',
      id,
      result: method === 'run.start' ? { run_id: run.id } : {},
      meta: { thread_id: run.threadId, applied_through_seq: seq },
    };
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return { type: 'error', id, ...failure };
  }
}

function start(call: CommandCall, method: string, params: unknown): Promise<Run> {
  if (method === 'run.start') return startRun(call, RunStart.parse(params));
  if (method === 'input.respond') return respond(call, InputRespond.parse(params));
  throw new CommandError(
    'unknown_command',
    `There is no method "${method}"; use run.start or input.respond.`,
  );
}

/** On a thread with a question, the input is the answer, as on LangGraph's server. A run from a checkpoint answers nothing. */
async function startRun(call: CommandCall, params: z.infer<typeof RunStart>): Promise<Run> {
  const { input, multitask_strategy: strategy, multitaskStrategy } = params;
  const isFork = params.config?.configurable?.['checkpoint_id'] != null;
  const questions =
    input == null || isFork
      ? undefined
      : await questionsOf(call.app, call.app.viewer, threadOf(call));
  const shared = { ...params, multitask_strategy: strategy ?? multitaskStrategy };
  if (questions?.isAsking)
    return create(call, { ...shared, input: null, command: { resume: input } });
  return create(call, shared);
}

async function respond(call: CommandCall, params: z.infer<typeof InputRespond>): Promise<Run> {
  const { interrupt_id: id, response, responses, update, goto, ...shared } = params;
  const questions = await questionsOf(call.app, call.app.viewer, threadOf(call));
  if (!questions) throw new NotFoundError('Thread', threadOf(call));
  if (questions.assistantId === null) {
    throw new CommandError('no_such_run', 'The thread has no run with a question.');
  }
  const answers = responses ?? [{ interrupt_id: id as string, response }];
  const body = { ...shared, assistant_id: questions.assistantId, command: { update, goto } };
  return create(
    call,
    body,
    answers.map((each) => ({ interruptId: each.interrupt_id, value: each.response ?? null })),
  );
}

/** `answers` goes into the command of the run. */
async function create(
  { app, headers, params: { thread_id: threadId } }: CommandCall,
  body: Record<string, unknown>,
  answers?: readonly Answer[],
): Promise<Run> {
  const request = toNewRun(
    RunBody.parse({
      ...body,
      stream_mode: MODES,
      stream_subgraphs: true,
      if_not_exists: 'create',
    }),
    threadId,
    { headers, viewer: app.viewer },
  );
  try {
    const command = answers ? { ...request.command, resume: answers } : request.command;
    return await createNew(app, { ...request, command });
  } catch (error) {
    // A thread of another viewer is the same as no thread.
    if (error instanceof IdTakenError) throw new NotFoundError('Thread', threadId);
    throw error;
  }
}

function threadOf({ params }: CommandCall): string {
  return params.thread_id;
}

/** A failure with a code of the protocol. */
class CommandError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The failures of a command, and not of the whole request. */
const CODES: Partial<Record<ErrorCode, string>> = {
  BAD_USER_INPUT: 'invalid_argument',
  CONFLICT: 'invalid_argument',
  THREAD_BUSY: 'invalid_argument',
};

function failureOf(error: unknown): { error: string; message: string } | undefined {
  if (error instanceof CommandError) return { error: error.code, message: error.message };
  if (error instanceof z.ZodError) {
    return { error: 'invalid_argument', message: describeZodError(error) };
  }
  // The assistant is missing.
  if (error instanceof RefusedError) return { error: 'invalid_argument', message: error.message };
  if (!(error instanceof AppError)) return undefined;
  const code = CODES[error.code];
  return code === undefined
    ? undefined
    : { error: codeOf(error) ?? code, message: inRestWords(error) };
}

function codeOf(error: AppError): string | undefined {
  if (error.details['argument'] === 'input.checkpointId') return 'no_such_checkpoint';
  return error instanceof NotPendingError ? 'no_such_interrupt' : undefined;
}
