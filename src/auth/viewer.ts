/** What a viewer may do in its tenant. `reader`: read. `member`: also create, run and change. `admin`: also manage API keys. */
export type Role = 'reader' | 'member' | 'admin';

/** From the lowest to the highest. */
export const ROLES: readonly Role[] = ['reader', 'member', 'admin'];

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
}

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

/** Viewers with the same key may share results. */
export function scopeKey({ kind, tenant, identity, roles, sees }: Viewer): string {
  return JSON.stringify([kind, tenant, identity, roles, sees]);
}

/**
 * Admins see their tenant; other viewers as AUTH_SCOPE says.
 *
 * @public
 */
export function visibleRows(
  roles: readonly Role[],
  authScope: 'owner' | 'tenant',
): 'own' | 'tenant' {
  return roles.includes('admin') || authScope === 'tenant' ? 'tenant' : 'own';
}
