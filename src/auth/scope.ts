import { join, raw, sql, type Statement } from '../db/sql.ts';
import { ForbiddenError } from '../errors.ts';
import { meets, metadataContain, metadataMeet } from './filter.ts';
import { DEFAULT_TENANT, ROLES, type Role, type Viewer } from './viewer.ts';

// The conditions on "tenant" and "owner" of a row. They are part of the statement that reads or changes the row: a row of
// another viewer is the same as no row.

/** The tenant of rows that all tenants see: the default assistants. */
export const SHARED_TENANT = '';
const SHARED = raw(`'${SHARED_TENANT}'`);

/** The conditions of a viewer on a table: `where` has an index in the order of lists, `filters` has an index of its own. */
export interface Scope {
  where: Statement[];
  filters: Statement[];
}

/** The threads that the viewer may read, as conditions for a list. `alias` names the table in the statement. */
export function listScope(viewer: Viewer, alias?: string): Scope {
  const { where, filters } = listOwnerScope(viewer, alias);
  const { filter } = viewer;
  if (filter) filters.push(metadataMeet(filter, { tenant: tenantOf(viewer), alias }));
  return { where, filters };
}

/** The runs that the viewer may read, as conditions for a list: those of the threads that it may read. */
export function listRunScope(viewer: Viewer): Scope {
  const { where, filters } = listOwnerScope(viewer);
  const { filter } = viewer;
  if (filter) {
    // The thread of a stateless run may be deleted. The metadata of the run then decides.
    const alone = sql`"threadId" IS NULL AND ${metadataMeet(filter, { tenant: tenantOf(viewer) })}`;
    filters.push(sql`(${threadMeets(viewer)} OR ${alone})`);
  }
  return { where, filters };
}

/** The interrupts that the viewer may read, as conditions for a list: those of the threads that it may read. */
export function listInterruptScope(viewer: Viewer): Scope {
  const { where, filters } = listOwnerScope(viewer);
  if (viewer.filter) filters.push(threadMeets(viewer));
  return { where, filters };
}

/** SQL: whether the thread of a row meets the filter of the viewer. */
function threadMeets(viewer: Viewer): Statement {
  const { filter = { all: [] } } = viewer;
  return sql`EXISTS (SELECT 1 FROM "Thread" scoped WHERE scoped."id" = "threadId"
    AND ${metadataMeet(filter, { tenant: tenantOf(viewer), alias: 'scoped' })})`;
}

/** The tenant of the rows that the viewer sees; undefined for all. */
export function tenantOf({ sees, tenant }: Viewer): string | undefined {
  return sees === 'everything' ? undefined : tenant;
}

/** The conditions on tenant and owner, for every table. */
function listOwnerScope(viewer: Viewer, alias?: string): Scope {
  if (viewer.sees === 'everything') return { where: [], filters: [] };
  const { tenant, owner } = columnsOf(alias);
  return {
    where: [sql`${tenant} = ${viewer.tenant}`],
    filters: viewer.sees === 'own' ? [sql`${owner} = ${viewer.identity}`] : [],
  };
}

/** SQL: the viewer may read the thread. */
export function canRead(viewer: Viewer, alias?: string): Statement {
  return allOf(listScope(viewer, alias));
}

/** The threads that the viewer may change: those that it may read. Throws FORBIDDEN for a viewer that only reads. */
export function canWrite(viewer: Viewer, alias?: string): Statement {
  requireRole(viewer, 'member');
  return canRead(viewer, alias);
}

/** SQL: the viewer may read the run. */
export function canReadRun(viewer: Viewer): Statement {
  return allOf(listRunScope(viewer));
}

/** The runs that the viewer may change: those that it may read. Throws FORBIDDEN for a viewer that only reads. */
export function canWriteRun(viewer: Viewer): Statement {
  requireRole(viewer, 'member');
  return canReadRun(viewer);
}

/**
 * The assistants that the viewer may read, as the parts of a list: those of its tenant, and the default assistants. A filter of
 * handlers does not hide the default assistants: each graph must be usable.
 */
export function assistantParts({ sees, tenant, filter }: Viewer): Statement[] {
  if (sees === 'everything') return [];
  const own = sql`"tenant" = ${tenant}`;
  const readable = filter ? sql`${own} AND ${metadataMeet(filter, { tenant })}` : own;
  return [readable, sql`"tenant" = ${SHARED}`];
}

/** Whether the metadata of an assistant contain the document, for the assistants that the viewer may read. */
export function assistantContains(viewer: Viewer, document: object): Statement {
  const tenant = tenantOf(viewer);
  if (tenant === undefined) return metadataContain(document, { tenant });
  const [own, shared] = [tenant, SHARED_TENANT].map((each) =>
    metadataContain(document, { tenant: each }),
  );
  return sql`(${own} OR ${shared})`;
}

/** SQL: the viewer may read the assistant. */
export function canReadAssistant(viewer: Viewer): Statement {
  const parts = assistantParts(viewer);
  return parts.length === 0 ? sql`true` : sql`(${join(parts, ' OR ')})`;
}

/**
 * The assistants that the viewer may change: its own, or with the right to see the tenant, those of the tenant. An admin of the
 * tenant "default" also changes the default assistants.
 */
export function canWriteAssistant(viewer: Viewer): Statement {
  const own = canWrite(viewer);
  const isOperator = viewer.tenant === DEFAULT_TENANT && viewer.roles.includes('admin');
  if (!isOperator) return own;
  const met = viewer.filter ? metadataMeet(viewer.filter, { tenant: SHARED_TENANT }) : raw('true');
  return sql`(${own} OR "tenant" = ${SHARED} AND ${met})`;
}

/** The rows that the viewer may read, as a condition of Prisma. */
export function readableRows({ sees, tenant, identity: owner }: Viewer): {
  tenant?: string;
  owner?: string;
} {
  if (sees === 'everything') return {};
  return sees === 'own' ? { tenant, owner } : { tenant };
}

/** Whether the viewer may read a thread that the server has read for several viewers. */
export function isReadable(
  viewer: Viewer,
  row: { tenant: string; owner: string; metadata: unknown },
): boolean {
  return isOfOwner(viewer, row) && (!viewer.filter || meets(viewer.filter, row.metadata));
}

/** Whether tenant and owner of a row are in the scope of the viewer. They never change. */
export function isOfOwner(viewer: Viewer, row: { tenant: string; owner: string }): boolean {
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

function columnsOf(alias?: string): Record<'tenant' | 'owner', Statement> {
  const prefix = alias === undefined ? '' : `${alias}.`;
  return { tenant: raw(`${prefix}"tenant"`), owner: raw(`${prefix}"owner"`) };
}

function allOf({ where, filters }: Scope): Statement {
  const conditions = [...where, ...filters];
  return conditions.length === 0 ? sql`true` : sql`(${join(conditions, ' AND ')})`;
}
