import { AppError, UnauthenticatedError } from '../errors.ts';
import { isRecord } from '../json.ts';
import type { Logger } from '../log.ts';
import { createAsk } from './authorize.ts';
import type { CustomLogin, LoginRequest } from './authenticate.ts';
import { callHandler, readHttpException } from './call-handler.ts';
import type { Handlers } from './handlers.ts';
import { A_NAME, isName } from './names.ts';
import { DEFAULT_TENANT, rolesIn, visibleRows, type Role, type Viewer } from './viewer.ts';

const LARGEST_USER = 65_536;

export interface HandlerOptions {
  log: Pick<Logger, 'error'>;
  /** The answer for an action without a handler. */
  uncovered: 'refuse' | 'allow';
  /** Without handlers for actions: which rows members see. */
  authScope: 'owner' | 'tenant';
}

/**
 * A login by the handler `authenticate` of langgraph.json. It gets the request as it is, without its body. The message of an
 * HTTPException is for the client. The log has all other errors, and answers without a user.
 */
export function createHandlerLogin(handlers: Handlers, options: HandlerOptions): CustomLogin {
  async function logIn({ headers, method = 'POST', url }: LoginRequest): Promise<Viewer> {
    const address = url ?? `http://${headers.get('host') ?? 'localhost'}/graphql`;
    let answer: unknown;
    try {
      answer = await callHandler('authenticate', () =>
        handlers.authenticate(new Request(address, { method, headers })),
      );
    } catch (error) {
      throw refusalOf(error, options);
    }
    const user = readUser(answer);
    if (typeof user !== 'string') return viewerOf(user, handlers, options);
    options.log.error(`The handler authenticate must return a user: ${user}.`);
    throw new UnauthenticatedError('The request has no valid credentials.');
  }

  return {
    logIn,
    decideFor(viewer) {
      if (handlers.callbacks.size === 0) return viewer;
      const { identity, permissions, claims } = viewer;
      const user = { ...claims, identity, permissions: [...permissions] };
      return { ...viewer, ask: createAsk(handlers, user, options) };
    },
  };
}

function refusalOf(error: unknown, { log }: HandlerOptions): AppError {
  const refusal = readHttpException(error);
  if (refusal) {
    return refusal.code === 'FORBIDDEN' ? refusal : new UnauthenticatedError(refusal.message);
  }
  log.error({ err: error }, 'the handler authenticate failed');
  return error instanceof AppError
    ? error
    : new AppError('SERVICE_UNAVAILABLE', 'The server cannot check credentials at the moment.');
}

/** A user, as handlers and graphs receive it. */
export interface User extends Record<string, unknown> {
  identity: string;
  permissions: string[];
}

/** Reads the answer of `authenticate`. A text is the reason why it is no user. */
function readUser(answer: unknown): User | string {
  const given = typeof answer === 'string' ? { identity: answer } : answer;
  if (!isRecord(given)) return 'it is neither a text nor an object';
  const user = asJson(given);
  if (!user) return `it is not JSON of at most ${LARGEST_USER} characters`;
  const { identity, permissions = [], tenant } = user;
  if (!isName(identity)) return `identity must be ${A_NAME}`;
  if (!Array.isArray(permissions) || !permissions.every((each) => typeof each === 'string')) {
    return 'permissions must be a list of texts';
  }
  if (user['is_authenticated'] === false) return 'is_authenticated is false';
  if (tenant != null && !isName(tenant)) return `tenant must be ${A_NAME}`;
  return { is_authenticated: true, display_name: identity, ...user, identity, permissions };
}

/** A copy: the handler may change its object later. */
function asJson(given: Record<string, unknown>): Record<string, unknown> | undefined {
  try {
    const text = JSON.stringify(given);
    const copy: unknown = JSON.parse(text);
    return text.length <= LARGEST_USER && isRecord(copy) ? copy : undefined;
  } catch {
    return undefined;
  }
}

function viewerOf(user: User, handlers: Handlers, options: HandlerOptions): Viewer {
  const roles = rolesOf(user['roles']);
  const { identity, permissions, tenant } = user;
  const decides = handlers.callbacks.size > 0;
  return {
    kind: 'custom',
    tenant: typeof tenant === 'string' ? tenant : DEFAULT_TENANT,
    identity,
    roles,
    permissions,
    // The filters of the handlers decide.
    sees: decides ? 'tenant' : visibleRows(roles, options.authScope),
    claims: user,
    ask: decides ? createAsk(handlers, user, options) : undefined,
  };
}

/** Without a role of this server, the user is a member. */
function rolesOf(given: unknown): Role[] {
  const roles = Array.isArray(given) ? rolesIn(given) : [];
  return roles.length > 0 ? roles : ['member'];
}
