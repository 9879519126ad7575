import type { Viewer } from './viewer.ts';

/** The viewer of a run, as its graph receives it in `configurable`. */
export interface GraphUser {
  langgraph_auth_user: Record<string, unknown>;
  langgraph_auth_user_id: string;
  langgraph_auth_permissions: readonly string[];
}

/** Keys of `configurable` that only the server sets begin with this. */
export const USER_PREFIX = 'langgraph_auth';

/** Null without access control. */
export function userOf({ kind, identity, permissions, ...viewer }: Viewer): GraphUser | null {
  if (kind === 'anonymous' || kind === 'system') return null;
  const { tenant, roles, claims } = viewer;
  const own = { is_authenticated: true, display_name: identity, identity, permissions };
  return {
    langgraph_auth_user:
      kind === 'custom' ? { ...own, ...claims } : { ...claims, ...own, tenant, roles },
    langgraph_auth_user_id: identity,
    langgraph_auth_permissions: permissions,
  };
}
