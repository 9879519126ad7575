import { isDeepStrictEqual } from 'node:util';
import { ForbiddenError } from '../errors.ts';
import { isRecord } from '../json.ts';
import { callHandler, HandlerTimeoutError, readHttpException } from './call-handler.ts';
import { readFilter, type Filter } from './filter.ts';
import { callbackOf, type Handlers } from './handlers.ts';
import type { AskHandlers, Viewer } from './viewer.ts';

/** Actions on threads, their runs and interrupts, and on assistants. */
export type Action =
  | `threads:${'create' | 'read' | 'update' | 'delete' | 'search' | 'create_run'}`
  | `assistants:${'create' | 'read' | 'update' | 'delete' | 'search'}`;

/** The permission for an action. */
export interface Permission<Value> {
  /** Its scope contains only the rows that the handlers allow for this action. */
  viewer: Viewer;
  /** The value of the action, with the changes by the handlers. Check it as the input of a client. */
  value: Value;
}

/**
 * Asks the handlers of langgraph.json for the permission of an action. Without handlers, returns at once. The names in the value
 * are LangGraph's. Throws FORBIDDEN, the HTTPException of a handler, and errors for the log.
 */
export function authorize<Value extends object>(
  viewer: Viewer,
  action: Action,
  value: Value,
): Permission<Value> | Promise<Permission<Value>> {
  return viewer.ask ? askFor(viewer, viewer.ask, { action, value }) : { viewer, value };
}

async function askFor<Value extends object>(
  viewer: Viewer,
  ask: AskHandlers,
  { action, value }: { action: Action; value: Value },
): Promise<Permission<Value>> {
  // A copy: the original belongs to the request.
  const asked = structuredClone(value) as Record<string, unknown>;
  const filter = await ask(action, asked);
  const changed = asJson(asked);
  for (const key of Object.keys(value)) {
    const before = (value as Record<string, unknown>)[key];
    const after = changed[key];
    if (after == null || before == null || kindOf(before) === kindOf(after)) continue;
    throw new Error(`The handler of ${action} gave value.${key} a wrong type.`);
  }
  return { viewer: { ...viewer, filter }, value: changed as Value };
}

/**
 * `authorize` for an action whose value names existing rows. Handlers may change its `metadata`, which has no effect. A handler
 * that changes another key expects an effect: throws an error for the log.
 */
export async function permit(viewer: Viewer, action: Action, value: object): Promise<Viewer> {
  if (!viewer.ask) return viewer;
  const before = asJson(value);
  const permission = await authorize(viewer, action, before);
  for (const key of Object.keys(value)) {
    if (key === 'metadata' || isDeepStrictEqual(permission.value[key], before[key])) continue;
    throw new Error(`The handler of ${action} changed value.${key}; this has no effect here.`);
  }
  return permission.viewer;
}

/** A choice that a handler may have changed. Handlers get LangGraph's names: in lower case. Throws an error for the log. */
export function readChoice<Choice extends string>(
  key: string,
  given: string | null | undefined,
  choices: readonly Choice[],
): Choice {
  const found = choices.find((choice) => choice.toLowerCase() === given);
  if (found !== undefined) return found;
  const names = choices.map((choice) => choice.toLowerCase()).join(', ');
  throw new Error(`A handler gave value.${key} a wrong value; it must be one of: ${names}.`);
}

/** A list of choices, such as the statuses of a search. */
export function readChoices<Choice extends string>(
  key: string,
  given: readonly string[] | null | undefined,
  choices: readonly Choice[],
): Choice[] | undefined {
  return given?.map((each) => readChoice(key, each, choices));
}

function asJson(value: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? 'list' : typeof value;
}

/** Asks the handlers for a user. */
export function createAsk(
  handlers: Handlers,
  user: Record<string, unknown> & { permissions: string[] },
  { uncovered }: { uncovered: 'refuse' | 'allow' },
): AskHandlers {
  return async (event, value) => {
    const callback = callbackOf(handlers, event);
    if (!callback) {
      if (uncovered === 'allow') return undefined;
      throw new ForbiddenError(`No handler allows ${event}.`);
    }
    const [resource = '', action = ''] = event.split(':');
    const own = structuredClone(user);
    const parameter = { event, resource, action, value, user: own, permissions: own.permissions };
    return readAnswer(event, await answerTo(event, () => callback(parameter)));
  };
}

async function answerTo(event: string, call: () => unknown): Promise<unknown> {
  try {
    return await callHandler(event, call);
  } catch (error) {
    if (error instanceof HandlerTimeoutError) throw error;
    throw (
      readHttpException(error) ?? new Error(`The handler of ${event} failed.`, { cause: error })
    );
  }
}

function readAnswer(event: string, answer: unknown): Filter | undefined {
  if (answer === undefined || answer === null || answer === true) return undefined;
  if (answer === false) throw new ForbiddenError(`You may not do this: ${event}.`);
  if (!isRecord(answer)) {
    throw new Error(`The handler of ${event} must return a boolean, a filter or nothing.`);
  }
  try {
    return readFilter(answer);
  } catch (cause) {
    throw new Error(`The filter of the handler of ${event} is refused.`, { cause });
  }
}
