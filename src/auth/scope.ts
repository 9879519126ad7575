import { join, raw, sql, type Statement } from '../db/sql.ts';
import { ForbiddenError } from '../errors.ts';
import { DEFAULT_TENANT, ROLES, type Role, type Viewer } from './viewer.ts';

// The conditions on "tenant" and "owner" of a row. They are part of the statement that reads or changes the row: a row of
// another viewer is the same as no row.

/** The tenant of rows that all tenants see: the default assistants. */
export const SHARED_TENANT = '';

/** The conditions of a viewer on a table: `where` has an index in the order of lists, `filters` has an index of its own. */
export interface Scope {
  where: Statement[];
  filters: Statement[];
}

/** The rows that the viewer may read, as conditions for a list. `alias` names the table in the statement. */
export function listScope(viewer: Viewer, alias?: string): Scope {
  if (viewer.sees === 'everything') return { where: [], filters: [] };
  const { tenant, owner } = columnsOf(alias);
  return {
    where: [sql`${tenant} = ${viewer.tenant}`],
    filters: viewer.sees === 'own' ? [sql`${owner} = ${viewer.identity}`] : [],
  };
}

/** The rows that the viewer may read, as one condition. */
export function canRead(viewer: Viewer, alias?: string): Statement {
  const { where, filters } = listScope(viewer, alias);
  return allOf([...where, ...filters]);
}

/** The rows that the viewer may change: those that it may read. Throws FORBIDDEN for a viewer that only reads. */
export function canWrite(viewer: Viewer, alias?: string): Statement {
  requireRole(viewer, 'member');
  return canRead(viewer, alias);
}

/** The assistants that the viewer may read: those of its tenant, and the default assistants. */
export function canReadAssistant(viewer: Viewer, alias?: string): Statement {
  if (viewer.sees === 'everything') return sql`true`;
  const { tenant } = columnsOf(alias);
  return sql`${tenant} IN (${viewer.tenant}, ${raw(`'${SHARED_TENANT}'`)})`;
}

/**
 * The assistants that the viewer may change: its own, or with the right to see the tenant, those of the tenant. An admin of the
 * tenant "default" also changes the default assistants.
 */
export function canWriteAssistant(viewer: Viewer, alias?: string): Statement {
  const own = canWrite(viewer, alias);
  const isOperator = viewer.tenant === DEFAULT_TENANT && viewer.roles.includes('admin');
  if (!isOperator) return own;
  const { tenant } = columnsOf(alias);
  return sql`(${own} OR ${tenant} = ${raw(`'${SHARED_TENANT}'`)})`;
}

/** The rows that the viewer may read, as a condition of Prisma. */
export function readableRows({ sees, tenant, identity: owner }: Viewer): {
  tenant?: string;
  owner?: string;
} {
  if (sees === 'everything') return {};
  return sees === 'own' ? { tenant, owner } : { tenant };
}

/** `canReadAssistant` as a condition of Prisma. */
export function readableAssistants({ sees, tenant }: Viewer): { tenant?: { in: string[] } } {
  return sees === 'everything' ? {} : { tenant: { in: [tenant, SHARED_TENANT] } };
}

/** Whether the viewer may read a row that the server has read for several viewers. */
export function isReadable(viewer: Viewer, row: { tenant: string; owner: string }): boolean {
  if (viewer.sees === 'everything') return true;
  if (row.tenant !== viewer.tenant) return false;
  return viewer.sees === 'tenant' || row.owner === viewer.identity;
}

/** The tenant and the owner of a new row. Throws FORBIDDEN for a viewer that only reads. */
export function ownerOf(viewer: Viewer): { tenant: string; owner: string } {
  requireRole(viewer, 'member');
  return { tenant: viewer.tenant, owner: viewer.identity };
}

/** Throws FORBIDDEN unless the viewer has the role or a higher one. */
export function requireRole(viewer: Viewer, role: Role): void {
  if (viewer.roles.some((own) => ROLES.indexOf(own) >= ROLES.indexOf(role))) return;
  const roles = viewer.roles.join(', ') || 'none';
  throw new ForbiddenError(
    `This needs the role ${role}; the roles of ${JSON.stringify(viewer.identity)} are: ${roles}.`,
  );
}

function columnsOf(alias?: string): { tenant: Statement; owner: Statement } {
  const prefix = alias === undefined ? '' : `${alias}.`;
  return { tenant: raw(`${prefix}"tenant"`), owner: raw(`${prefix}"owner"`) };
}

function allOf(conditions: readonly Statement[]): Statement {
  return conditions.length === 0 ? sql`true` : sql`(${join(conditions, ' AND ')})`;
}
