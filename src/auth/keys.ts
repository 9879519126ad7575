import { createHash, randomBytes } from 'node:crypto';
import { KEYS_CHANNEL } from '../db/channels.ts';
import { readPage, type Page, type PageRequest } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { param, raw, sql } from '../db/sql.ts';
import { newId, parseUuid } from '../db/uuid.ts';
import { BadInputError, NotFoundError } from '../errors.ts';
import { A_NAME, isName } from './names.ts';
import { canWrite, listScope, requireRole } from './scope.ts';
import { ROLES, rolesIn, type Role, type Viewer } from './viewer.ts';

/** A key without its secret. */
export interface ApiKey {
  id: string;
  tenant: string;
  owner: string;
  name: string;
  /** The last four characters of the key. */
  last4: string;
  roles: Role[];
  createdAt: Date;
  expiresAt: Date | null;
  revokedAt: Date | null;
  lastUsedAt: Date | null;
}

export interface CreateApiKeyInput {
  name: string;
  /** The identity of the clients with this key. */
  owner: string;
  roles: readonly string[];
  expiresAt?: Date | null | undefined;
}

/** The beginning of every key. It helps people and scanners for secrets to recognize a key. */
export const KEY_PREFIX = 'tql_';

const KEY_BYTES = 32;
const LONGEST_NAME = 255;
const COLUMNS =
  '"id", "tenant", "owner", "name", "last4", "roles", "createdAt", "expiresAt", "revokedAt", "lastUsedAt"';

/** Creates a key for the tenant of the viewer. Only this result contains the key: the database has its hash. */
export async function createApiKey(
  app: { sql: Sql },
  viewer: Viewer,
  { name, owner, roles: given, expiresAt }: CreateApiKeyInput,
): Promise<{ key: string; apiKey: ApiKey }> {
  requireRole(viewer, 'admin');
  checkName('input.name', name);
  checkOwner('input.owner', owner);
  const roles = readRoles('input.roles', given);
  const key = KEY_PREFIX + randomBytes(KEY_BYTES).toString('base64url');
  const end = param(expiresAt ?? null);
  const [apiKey] = await app.sql.query<ApiKey>(
    sql`INSERT INTO "ApiKey" ("id", "tenant", "owner", "name", "hash", "last4", "roles", "expiresAt")
      SELECT ${newId()}::uuid, ${viewer.tenant}, ${owner}, ${name}, ${hashOf(key)}::bytea, ${key.slice(-4)},
        ${roles}::text[], ${end}::timestamptz
      WHERE ${end}::timestamptz IS NULL OR ${end}::timestamptz > now() RETURNING ${raw(COLUMNS)}`,
  );
  if (!apiKey) throw new BadInputError('input.expiresAt', 'input.expiresAt is in the past.');
  return { key, apiKey };
}

/** Ends a key. Does not change the time of an earlier call. */
export async function revokeApiKey(app: { sql: Sql }, viewer: Viewer, id: string): Promise<ApiKey> {
  requireRole(viewer, 'admin');
  const keyId = parseUuid('id', id);
  const [apiKey] = await app.sql.query<ApiKey>(
    sql`UPDATE "ApiKey" SET "revokedAt" = coalesce("revokedAt", now())
      WHERE "id" = ${keyId} AND ${canWrite(viewer)} RETURNING ${raw(COLUMNS)}`,
  );
  if (!apiKey) throw new NotFoundError('API key', keyId);
  app.sql.notify(KEYS_CHANNEL, keyId);
  return apiKey;
}

/** The keys of the viewer's tenant, newest first, with revoked and expired ones. */
export async function listApiKeys(
  app: { sql: Sql },
  viewer: Viewer,
  request: PageRequest,
): Promise<Page<ApiKey>> {
  requireRole(viewer, 'admin');
  const listing = {
    from: '"ApiKey"',
    columns: COLUMNS,
    ...listScope(viewer),
    order: {
      by: '"createdAt"',
      type: 'timestamptz',
      unique: '"id"',
      uniqueType: 'uuid',
      direction: 'DESC' as const,
    },
  };
  return readPage<ApiKey>(app.sql, listing, request);
}

/** The time for which a key remains in the list after its end. */
const ENDED_DAYS = 30;

/** Deletes the keys that were revoked or expired more than 30 days ago. */
export async function deleteEndedKeys({ sql: database }: { sql: Sql }): Promise<void> {
  const latest = sql`now() - make_interval(days => ${raw(ENDED_DAYS)})`;
  await database.query(
    sql`DELETE FROM "ApiKey" WHERE "expiresAt" < ${latest} OR "revokedAt" < ${latest}`,
    { takesLong: true },
  );
}

/** The stored form of a key. */
export function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function readRoles(argument: string, given: readonly string[]): Role[] {
  const roles = rolesIn(given);
  const isKnown = given.every((role) => roles.some((known) => known === role));
  if (isKnown && roles.length > 0) return roles;
  throw new BadInputError(
    argument,
    (name) => `${name(argument)} must have one or more of the roles ${ROLES.join(', ')}.`,
  );
}

function checkName(argument: string, name: string): void {
  if (name.length > 0 && name.length <= LONGEST_NAME) return;
  throw new BadInputError(
    argument,
    (name) => `${name(argument)} must have 1 to ${LONGEST_NAME} characters.`,
  );
}

function checkOwner(argument: string, owner: string): void {
  if (!isName(owner))
    throw new BadInputError(argument, (name) => `${name(argument)} must be ${A_NAME}.`);
}
