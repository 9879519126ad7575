import type { Filter } from './filter.ts';

/** What a viewer may do in its tenant. `reader`: read. `member`: also create, run and change. `admin`: also manage API keys. */
export type Role = 'reader' | 'member' | 'admin';

/** From the lowest to the highest. */
export const ROLES: readonly Role[] = ['reader', 'member', 'admin'];

/** The roles among these values, each once. A project may have roles of its own. */
export function rolesIn(values: readonly unknown[]): Role[] {
  return ROLES.filter((role) => values.includes(role));
}

/** The client behind a request. Each domain function for clients takes one, and puts its scope into its statements. */
export interface Viewer {
  kind: 'anonymous' | 'apiKey' | 'jwt' | 'custom' | 'system';
  /** A wall: no request of a viewer touches rows of another tenant. */
  tenant: string;
  /** The owner of what the viewer creates. */
  identity: string;
  roles: readonly Role[];
  permissions: readonly string[];
  /** Which rows of the tenant the viewer sees: its own, or all. 'everything': the rows of all tenants, for the server itself. */
  sees: 'own' | 'tenant' | 'everything';
  /** Undefined: the credentials do not expire. */
  expiresAt?: Date | undefined;
  /** Further fields for graphs, in `configurable.langgraph_auth_user`. Without tokens. */
  claims?: Record<string, unknown> | undefined;
  /** Asks the handlers of langgraph.json. Undefined: there are none, and the roles decide. */
  ask?: AskHandlers | undefined;
  /** The answer of the handlers to the current action: the rows that it may touch, by their metadata. */
  filter?: Filter | undefined;
}

/** Asks for the permission of an action, such as `threads:read`. Handlers may change `value`. Throws if they refuse. */
export type AskHandlers = (
  action: string,
  value: Record<string, unknown>,
) => Promise<Filter | undefined>;

export const DEFAULT_TENANT = 'default';

/** The client of a server without access control: it may do everything. */
export const ANONYMOUS: Viewer = {
  kind: 'anonymous',
  tenant: DEFAULT_TENANT,
  identity: '',
  roles: ['admin'],
  permissions: [],
  sees: 'tenant',
};

/** The server itself: workers, retention and other background loops. */
export const SYSTEM: Viewer = { ...ANONYMOUS, kind: 'system', sees: 'everything' };

/** The viewer without questions to handlers: for a part of what they have allowed already. */
export function withoutHandlers(viewer: Viewer): Viewer {
  return { ...viewer, ask: undefined };
}

/** Equal for logins of one viewer with the same rights. Other fields of a user may change at each login. */
export function rightsKey({ kind, tenant, identity, roles, permissions, sees }: Viewer): string {
  return JSON.stringify([kind, tenant, identity, roles, permissions, sees]);
}

/** Viewers with the same key may share results. */
export function scopeKey({ kind, tenant, identity, roles, sees, ...rest }: Viewer): string {
  // Handlers may decide by each field of a user.
  const user = rest.ask && [rest.permissions, rest.claims, rest.filter];
  return JSON.stringify([kind, tenant, identity, roles, sees, user]);
}

/** Admins see their tenant; other viewers as AUTH_SCOPE says. */
export function visibleRows(
  roles: readonly Role[],
  authScope: 'owner' | 'tenant',
): 'own' | 'tenant' {
  return roles.includes('admin') || authScope === 'tenant' ? 'tenant' : 'own';
}
