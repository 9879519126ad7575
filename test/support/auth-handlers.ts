import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Auth, HTTPException } from '@langchain/langgraph-sdk/auth';

// The handlers of auth-graphs.json. A token is the JSON of a user, or the name of a case.

const HEADERS = ['x-forwarded-user', 'x-real-ip', 'x-team', 'x-device'];

const CASES: Record<string, (request: Request) => unknown> = {
  /** The identity shows what the handler sees. */
  headers: ({ headers }) => HEADERS.map((name) => headers.get(name) ?? 'none').join(', '),
  /** Waits until a file exists. */
  slow: async ({ headers }) => {
    const file = headers.get('x-gate') ?? '';
    while (!existsSync(file)) await setTimeout(10);
    return 'sam';
  },
  text: () => 'tess',
  refused: () => {
    throw new HTTPException(401, { message: 'This token is from yesterday.' });
  },
  forbidden: () => {
    throw new HTTPException(403, { message: 'Your account is closed.' });
  },
  broken: () => {
    throw new Error('the directory of users is away: secret-of-the-directory');
  },
  hangs: () => new Promise(() => {}),
  nothing: () => undefined,
  number: () => 7,
  nameless: () => ({ permissions: [] }),
  emptyName: () => ({ identity: '' }),
  numberAsName: () => ({ identity: 7 }),
  emptyTenant: () => ({ identity: 'mia', tenant: '' }),
  nullCharacter: () => ({ identity: 'mia\0' }),
  permissionsAsText: () => ({ identity: 'mia', permissions: 'all' }),
  notAuthenticated: () => ({ identity: 'mia', is_authenticated: false }),
  circular: () => {
    const user: Record<string, unknown> = { identity: 'mia' };
    return Object.assign(user, { self: user });
  },
};

/** The answers to `threads:read` for users with `answer`. */
const ANSWERS: Record<string, () => unknown> = {
  false: () => false,
  true: () => true,
  nothing: () => undefined,
  text: () => 'yes',
  list: () => [],
  unknownOperator: () => ({ owner: { $ne: 'ann' } }),
  unknownKey: () => ({ $not: { owner: 'ann' } }),
  emptyOperator: () => ({ owner: {} }),
  twoOperators: () => ({ owner: { $eq: 'ann', $contains: 'ann' } }),
  missingValue: () => ({ owner: undefined }),
  nullValue: () => ({ owner: null }),
  listAsValue: () => ({ owner: ['ann'] }),
  emptyContains: () => ({ team: { $contains: [] } }),
  emptyOr: () => ({ $or: [] }),
  singleOr: () => ({ $or: [{ owner: 'ann' }] }),
  emptyBranch: () => ({ $or: [{ owner: 'ann' }, {}] }),
  tooDeep: () => {
    const pair = (filter: object) => ({ $or: [filter, { owner: 'ann' }] });
    return pair(pair(pair({ owner: 'ann' })));
  },
  throws: () => {
    throw new Error('secret-of-the-handler');
  },
  refuses: () => {
    throw new HTTPException(403, { message: 'Not on Sundays.' });
  },
  breaks: () => {
    throw new HTTPException(500, { message: 'secret-of-the-handler' });
  },
};

interface TestUser {
  identity: string;
  permissions: string[];
  answer?: string;
  filter?: object;
  /** By the id of the thread in the value of the action. */
  filters?: Record<string, object>;
  /** For each action, the changes to its value. */
  changes?: Record<string, object>;
}

/** Changes the value as the user says, and otherwise makes the user the owner of what it creates. */
function change(value: Record<string, any>, user: object, action: string): void {
  const { identity, changes } = user as TestUser;
  if ('metadata' in value && action !== 'search') {
    value['metadata'] ??= {};
    value['metadata'].owner = identity;
  }
  Object.assign(value, changes?.[action]);
}

/** The user decides what the handlers answer. */
function filterFor(user: object, value: object): any {
  const { identity, answer, filter, filters } = user as TestUser;
  const threadId = 'thread_id' in value ? String(value.thread_id) : '';
  if (filters?.[threadId]) return filters[threadId];
  if (answer !== undefined) return ANSWERS[answer]?.();
  return filter ?? { owner: identity };
}

export const auth = new Auth()
  .authenticate((request: Request): any => {
    const token = request.headers.get('authorization')?.replace(/^\w+ /, '');
    if (token === undefined) throw new HTTPException(401, { message: 'Who are you?' });
    const { permissions = [], ...user } = token.startsWith('{') ? JSON.parse(token) : {};
    return token.startsWith('{') ? { ...user, permissions } : CASES[token]?.(request);
  })
  .on('threads', ({ value, user, action }) => {
    change(value, user, action);
    return filterFor(user, value);
  })
  .on('threads:delete', ({ value, user, permissions }) => {
    change(value, user, 'delete');
    return permissions.includes('delete');
  })
  .on('assistants', ({ value, user, action }) => {
    change(value, user, action);
    return { owner: user.identity };
  });
