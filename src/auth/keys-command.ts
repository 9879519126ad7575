import { parseArgs } from 'node:util';
import { readConfig } from '../config.ts';
import { DataDirectoryInUseError } from '../db/data-directory.ts';
import { openDatabase } from '../db/open.ts';
import type { Sql } from '../db/query.ts';
import { BadInputError } from '../errors.ts';
import { createLogger } from '../log.ts';
import { secondsOf } from '../settings.ts';
import { createApiKey, listApiKeys, revokeApiKey, type ApiKey } from './keys.ts';
import { A_NAME, isName } from './names.ts';
import { DEFAULT_TENANT, SYSTEM, type Viewer } from './viewer.ts';

const USAGE = `Usage:
  npm run keys -- create --name NAME --owner OWNER --role ROLE [--role ROLE …] [--tenant TENANT] [--expires TIME]
  npm run keys -- list [--tenant TENANT]
  npm run keys -- revoke ID
ROLE is reader, member or admin. TIME is a time from now, such as 12h or 90d. The default of TENANT is "default"; list shows all tenants.
The database is the one of the server: DATABASE_URL, or the embedded database in THREADQL_DATA_DIR.
`;

/** The output of a command: results for programs on stdout, sentences for people on stderr. */
interface Output {
  stdout: string;
  stderr: string;
}

class UsageError extends Error {}

type Work = (app: { sql: Sql }) => Promise<Output>;

/** Executes `npm run keys` and returns the exit status. */
export async function runKeysCommand(
  args: string[],
  env: NodeJS.ProcessEnv,
  write: (output: Output) => void,
): Promise<number> {
  try {
    const work = readCommand(args);
    const config = readConfig(env);
    // The log would go to stdout, before the key.
    const database = await openDatabase(config, createLogger('silent'));
    try {
      write(await work(database));
    } finally {
      await database.close();
    }
    return 0;
  } catch (error) {
    const usage = error instanceof UsageError ? `\n${USAGE}` : '';
    write({ stdout: '', stderr: `${sentenceOf(error)}\n${usage}` });
    return 1;
  }
}

/** Reads the arguments, before the command opens the database. */
function readCommand(args: string[]): Work {
  const { values, positionals } = parse(args);
  const [command, ...operands] = positionals;
  const given = Object.keys(values).join(' ');
  if (command === 'create' && operands.length === 0) return create(values);
  if (command === 'list' && operands.length === 0 && /^(tenant)?$/.test(given)) return list(values);
  if (command === 'revoke' && operands[0] && operands.length === 1 && given === '') {
    return revoke(operands[0]);
  }
  throw new UsageError('The command is not complete, or has too many arguments.');
}

function parse(args: string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        name: text,
        owner: text,
        role: { type: 'string', multiple: true },
        tenant: text,
        expires: text,
      },
    });
  } catch (error) {
    throw new UsageError(sentenceOf(error), { cause: error });
  }
}

type Options = ReturnType<typeof parse>['values'];

function create({ name, owner, role, tenant = DEFAULT_TENANT, expires }: Options): Work {
  if (name === undefined || owner === undefined || role === undefined) {
    throw new UsageError('A key needs --name, --owner and --role.');
  }
  const viewer = operatorOf(tenant);
  const expiresAt = expires === undefined ? null : endOf(expires);
  return async (app) => {
    const input = { name, owner, roles: role, expiresAt };
    const { key, apiKey } = await createApiKey(app, viewer, input);
    const stderr = `Created the API key ${apiKey.id}. No command shows it again.\n`;
    return { stdout: `${key}\n`, stderr };
  };
}

/** One key in a line, as JSON. */
function list({ tenant }: Options): Work {
  const viewer = tenant === undefined ? SYSTEM : operatorOf(tenant);
  return async (app) => {
    const lines: string[] = [];
    let after: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof listApiKeys>> = await listApiKeys(app, viewer, {
        first: 100,
        after,
      });
      for (const { node } of page.edges) lines.push(`${lineOf(node)}\n`);
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after !== null);
    return { stdout: lines.join(''), stderr: '' };
  };
}

function revoke(id: string): Work {
  return async (app) => {
    const apiKey = await revokeApiKey(app, SYSTEM, id);
    return { stdout: '', stderr: `Revoked the API key ${apiKey.id}.\n` };
  };
}

/** An admin of a tenant. */
function operatorOf(tenant: string): Viewer {
  if (!isName(tenant)) throw new UsageError(`--tenant must be ${A_NAME}.`);
  return { ...SYSTEM, tenant, sees: 'tenant' };
}

function endOf(expires: string): Date {
  const end = new Date(Date.now() + secondsOf(expires) * 1000);
  if (!(end.getUTCFullYear() <= 9999)) {
    throw new UsageError('--expires must be a time such as 90s, 30m, 24h or 7d.');
  }
  return end;
}

/** Also escapes the control characters of terminals above U+007F. */
function lineOf(apiKey: ApiKey): string {
  return JSON.stringify(apiKey).replaceAll(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function sentenceOf(error: unknown): string {
  if (error instanceof DataDirectoryInUseError) {
    return `The server with the process id ${error.pid} uses the database in ${error.directory}: stop it first, or use its API.`;
  }
  const message = error instanceof Error ? error.message : String(error);
  return error instanceof BadInputError ? withOptions(message) : message;
}

/** Names the options of the command for the arguments of the API. */
function withOptions(message: string): string {
  return message
    .replaceAll('input.roles', '--role')
    .replaceAll('input.expiresAt', '--expires')
    .replaceAll('input.', '--')
    .replace(/^id /, 'ID ');
}
