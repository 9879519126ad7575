import type { Config } from '../config.ts';
import { KEYS_CHANNEL } from '../db/channels.ts';
import type { Sql } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { remember } from '../remember.ts';
import type { Login } from './authenticate.ts';
import { hashOf, KEY_PREFIX } from './keys.ts';
import { rolesIn, visibleRows, type Viewer } from './viewer.ts';

interface Needs {
  sql: Sql;
  config: Pick<Config, 'authScope'>;
  log: Logger;
}

/** The longest time until the end of a revoked key, after a lost notification. */
const KNOWN_MS = 30_000;
const MOST_KNOWN = 10_000;

interface Known {
  /** The id of the key. */
  id: string;
  viewer: Viewer;
  /** On the clock of `performance.now()`. */
  until: number;
}

/** A login with an API key, in `x-api-key` or as a bearer token with the prefix of the keys. */
export function createKeyLogin({ sql: database, config, log }: Needs): Login {
  /** Viewers by the hash of their key. */
  const known = new Map<string, Known>();
  /** Statements in progress: requests with the same key share one. */
  const pending = new Map<string, Promise<Viewer>>();

  database.listen(KEYS_CHANNEL, (revoked) => {
    for (const [name, { id }] of known) if (id === revoked) known.delete(name);
  });

  async function find(hash: Buffer, name: string): Promise<Viewer> {
    const startedAt = performance.now();
    const [row] = await database.query<KeyRow>(selectKey(hash), { onlyReads: true });
    if (!row) throw refusal();
    if (row.isUseOld) noteUse(row.id);
    const viewer = viewerOf(row, config);
    known.delete(name);
    remember(known, name, { id: row.id, viewer, until: startedAt + KNOWN_MS }, MOST_KNOWN);
    return viewer;
  }

  /** The request does not wait for this, and does not fail with it. */
  function noteUse(id: string): void {
    database.query(updateUse(id)).catch((error: unknown) => {
      log.warn({ err: error, apiKeyId: id }, 'The last use of an API key could not be stored.');
    });
  }

  return async (credentials) => {
    const key = keyIn(credentials);
    if (key === undefined) return undefined;
    const hash = hashOf(key);
    const name = hash.toString('base64');
    const found = known.get(name);
    if (found && isCurrent(found)) return found.viewer;
    const finding = pending.get(name) ?? find(hash, name).finally(() => pending.delete(name));
    pending.set(name, finding);
    return finding;
  };
}

/** All bad keys get the same answer. */
function refusal(): UnauthenticatedError {
  return new UnauthenticatedError('The API key is unknown, expired or revoked.');
}

const KEY = new RegExp(`^${KEY_PREFIX}[\\w-]{43}$`);

/** Undefined: the credentials are no API key. Throws for a malformed key. */
function keyIn({ apiKey, token }: Parameters<Login>[0]): string | undefined {
  const key = apiKey ?? (token?.startsWith(KEY_PREFIX) ? token : undefined);
  if (key !== undefined && !KEY.test(key)) throw refusal();
  return key;
}

function isCurrent({ viewer: { expiresAt }, until }: Known): boolean {
  return performance.now() < until && (!expiresAt || expiresAt.getTime() > Date.now());
}

interface KeyRow {
  id: string;
  tenant: string;
  owner: string;
  roles: string[];
  expiresAt: Date | null;
  /** True: `lastUsedAt` is at least a minute old. */
  isUseOld: boolean;
}

function selectKey(hash: Buffer): Statement {
  return sql`SELECT "id", "tenant", "owner", "roles", "expiresAt",
      coalesce("lastUsedAt" < now() - interval '1 minute', true) AS "isUseOld" FROM "ApiKey"
    WHERE "hash" = ${hash}::bytea AND "revokedAt" IS NULL AND ("expiresAt" IS NULL OR "expiresAt" > now())`;
}

/** Another process may have done the same in the meantime. */
function updateUse(id: string): Statement {
  return sql`UPDATE "ApiKey" SET "lastUsedAt" = now()
    WHERE "id" = ${id} AND ("lastUsedAt" IS NULL OR "lastUsedAt" < now() - interval '1 minute')`;
}

function viewerOf(
  { tenant, owner, roles: stored, expiresAt }: KeyRow,
  { authScope }: Needs['config'],
): Viewer {
  const roles = rolesIn(stored);
  return {
    kind: 'apiKey',
    tenant,
    identity: owner,
    roles,
    permissions: [],
    sees: visibleRows(roles, authScope),
    expiresAt: expiresAt ?? undefined,
  };
}
