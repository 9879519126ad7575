import { createApiKey } from '../../src/auth/keys.ts';
import { SYSTEM } from '../../src/auth/viewer.ts';
import { sql } from '../../src/db/sql.ts';
import type { Config } from '../../src/config.ts';
import type { TestApp } from './app.ts';
import { createClient, type Client } from './client.ts';
import { it as base } from './fixture.ts';

interface KeyOf {
  tenant: string;
  owner: string;
  role: 'reader' | 'member' | 'admin';
  /** The key has expired. */
  expired?: true;
}

/** The keys of the tests. Tenant `void` has no rows. */
const KEYS = {
  alice: { tenant: 'acme', owner: 'alice', role: 'member' },
  /** Another owner of the tenant. */
  bob: { tenant: 'acme', owner: 'bob', role: 'member' },
  /** Another tenant, with the owner's name of the first one. */
  carol: { tenant: 'globex', owner: 'alice', role: 'member' },
  /** An admin of another tenant. */
  otherAdmin: { tenant: 'globex', owner: 'otto', role: 'admin' },
  /** Reads what alice reads. */
  reader: { tenant: 'acme', owner: 'alice', role: 'reader' },
  /** Reads nothing of alice. */
  otherReader: { tenant: 'acme', owner: 'rita', role: 'reader' },
  admin: { tenant: 'acme', owner: 'ada', role: 'admin' },
  expired: { tenant: 'acme', owner: 'alice', role: 'member', expired: true },
  nobody: { tenant: 'void', owner: 'nobody', role: 'member' },
} satisfies Record<string, KeyOf>;

export type ViewerName = keyof typeof KEYS | 'anonymous';

/** A client of one viewer, with all means to send requests. */
export type ViewerClient = Client & TestApp;

export type Viewers = Record<ViewerName, ViewerClient>;

/** The shared server of the file asks for API keys; `viewers` has a client for each key, and one without a key. */
export const it = base
  .extend('settings', { scope: 'file' }, { auth: 'keys' } as Partial<Config>)
  .extend('viewers', { scope: 'file' }, async ({ server }): Promise<Viewers> => {
    const viewers = {} as Viewers;
    for (const [name, key] of Object.entries(KEYS)) {
      viewers[name as ViewerName] = (await createViewer(server, key)).client;
    }
    viewers.anonymous = clientWith(server, {});
    return viewers;
  });

/** Makes a key, and a client that sends it. */
export async function createViewer(
  server: TestApp,
  key: KeyOf,
): Promise<{ client: ViewerClient; headers: { 'x-api-key': string } }> {
  const headers = { 'x-api-key': await createKey(server, key) };
  return { client: clientWith(server, headers), headers };
}

function clientWith(server: TestApp, headers: Record<string, string>): ViewerClient {
  const means = server.as(headers);
  return { ...means, ...createClient(means) };
}

/** Makes a key as the command for the first keys does. */
async function createKey(
  { app }: TestApp,
  { tenant, owner, role, expired }: KeyOf,
): Promise<string> {
  const input = { name: owner, owner, roles: [role] };
  const { key, apiKey } = await createApiKey(app, { ...SYSTEM, tenant }, input);
  if (expired) {
    await app.sql.query(
      sql`UPDATE "ApiKey" SET "expiresAt" = now() - interval '1 minute' WHERE "id" = ${apiKey.id}`,
    );
  }
  return key;
}
