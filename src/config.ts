/** What the environment decides. Every field is one line of the README's table. */
export interface Config {
  /** Where it listens. Default 4000; 0 takes a free port. */
  port: number;
  /** Default 127.0.0.1. */
  host: string;
  /** The file that names the graphs. Default langgraph.json. */
  graphsFile: string;
  /** PostgreSQL's URL; absent: an embedded database in `dataDir`. */
  databaseUrl: string | undefined;
  /** Where hints are listened for, if that is not `databaseUrl`: PgBouncer in transaction mode passes none on. */
  databaseListenUrl: string | undefined;
  /** Where the embedded database lives. Default .threadql. */
  dataDir: string;
  /** Connections to PostgreSQL. Default 10; the embedded database has one. */
  poolSize: number;
  /** Runs executed at a time; 0 serves without executing. Default 50: most of a run is waiting for models. */
  workerConcurrency: number;
  /** The longest that `wait: true` waits. Default 300. */
  waitSeconds: number;
  /** How long a stopping server lets its runs reach the end of a step. Default 30. */
  shutdownGraceSeconds: number;
  /** How long a claim holds when its worker is gone. Default 15. */
  leaseSeconds: number;
  /** How long a graph may block the event loop before the process ends, with status 70. Default 120; 0: for ever. */
  maxBlockedSeconds: number;
  /** How long events are kept after their run has ended. Default 24 h. */
  eventRetentionSeconds: number;
  /** The largest request body and WebSocket message. Default 1 MiB. */
  bodyLimitBytes: number;
  /** How deep a document may select. Default 15. */
  depthLimit: number;
  /** Aliases in an operation. Default 50. */
  aliasLimit: number;
  /** Directives in an operation. Default 50. */
  directiveLimit: number;
  /** Tokens in a document. Default 5,000. */
  tokenLimit: number;
  /** Fields that an operation's answer could come to. Default 50,000. */
  costLimit: number;
  /** Operations under way on one WebSocket. Default 100. */
  socketOperationLimit: number;
  /** How soon a WebSocket must send connection_init. Default 5. */
  socketInitSeconds: number;
  /** Whether clients may ask for the schema. Default on. */
  introspection: boolean;
  /** Whether browsers get GraphiQL. Default on. */
  graphiql: boolean;
  /** Host names that requests may name, besides HOST, localhost and loopback addresses. */
  allowedHosts: readonly string[];
  /** Web origins that may use the API from a browser, besides our own. */
  corsOrigins: readonly string[];
  /** debug, info, warn, error or silent. Default info. */
  logLevel: string;
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'];

/** Reads every environment variable that the server understands. Throws on the first bad value. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  return {
    port: integer(env, 'PORT', { otherwise: 4000, min: 0, max: 65_535 }),
    host: env['HOST'] || '127.0.0.1',
    graphsFile: env['THREADQL_CONFIG'] || 'langgraph.json',
    databaseUrl: postgresUrl(env, 'DATABASE_URL'),
    databaseListenUrl: postgresUrl(env, 'DATABASE_LISTEN_URL'),
    dataDir: env['THREADQL_DATA_DIR'] || '.threadql',
    poolSize: integer(env, 'DATABASE_POOL_SIZE', { otherwise: 10, min: 1, max: 1000 }),
    workerConcurrency: integer(env, 'WORKER_CONCURRENCY', { otherwise: 50, min: 0, max: 1000 }),
    waitSeconds: integer(env, 'WAIT_SECONDS', { otherwise: 300, min: 1, max: 86_400 }),
    shutdownGraceSeconds: integer(env, 'SHUTDOWN_GRACE_SECONDS', {
      otherwise: 30,
      min: 0,
      max: 3600,
    }),
    leaseSeconds: integer(env, 'LEASE_SECONDS', { otherwise: 15, min: 1, max: 3600 }),
    maxBlockedSeconds: integer(env, 'MAX_BLOCKED_SECONDS', { otherwise: 120, min: 0, max: 86_400 }),
    eventRetentionSeconds: duration(env, 'EVENT_RETENTION', { otherwise: '24h' }),
    bodyLimitBytes: integer(env, 'BODY_LIMIT_BYTES', {
      otherwise: 1_048_576,
      min: 1024,
      max: 1_073_741_824,
    }),
    depthLimit: integer(env, 'DEPTH_LIMIT', { otherwise: 15, min: 1, max: 1000 }),
    aliasLimit: integer(env, 'ALIAS_LIMIT', { otherwise: 50, min: 0, max: 1_000_000 }),
    directiveLimit: integer(env, 'DIRECTIVE_LIMIT', { otherwise: 50, min: 0, max: 1_000_000 }),
    tokenLimit: integer(env, 'TOKEN_LIMIT', { otherwise: 5000, min: 1, max: 1_000_000 }),
    costLimit: integer(env, 'COST_LIMIT', { otherwise: 50_000, min: 1, max: 1_000_000_000 }),
    socketOperationLimit: integer(env, 'SOCKET_OPERATION_LIMIT', {
      otherwise: 100,
      min: 1,
      max: 1_000_000,
    }),
    socketInitSeconds: integer(env, 'SOCKET_INIT_SECONDS', { otherwise: 5, min: 1, max: 3600 }),
    introspection: onOff(env, 'INTROSPECTION', { otherwise: 'on' }),
    graphiql: onOff(env, 'GRAPHIQL', { otherwise: 'on' }),
    allowedHosts: list(env, 'ALLOWED_HOSTS'),
    corsOrigins: list(env, 'CORS_ORIGINS'),
    logLevel: oneOf(env, 'LOG_LEVEL', { otherwise: 'info', of: LOG_LEVELS }),
  };
}

function integer(
  env: NodeJS.ProcessEnv,
  name: string,
  { otherwise, min, max }: { otherwise: number; min: number; max: number },
): number {
  const text = env[name];
  if (!text) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Error(`${name} is "${text}"; it must be a whole number from ${min} to ${max}.`);
  }
  return value;
}

const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
const LONGEST_SECONDS = 36_500 * 86_400;

/** Seconds, out of `90s`, `30m`, `24h`, `7d` or plain seconds. */
function duration(
  env: NodeJS.ProcessEnv,
  name: string,
  { otherwise }: { otherwise: string },
): number {
  const text = env[name] || otherwise;
  const [, digits, unit = 's'] = /^(\d+)([smhd])?$/.exec(text) ?? [];
  const seconds = Number(digits) * (UNIT_SECONDS[unit] ?? 1);
  if (!(seconds >= 1 && seconds <= LONGEST_SECONDS)) {
    throw new Error(`${name} is "${text}"; it must be a time such as 90s, 30m, 24h or 7d.`);
  }
  return seconds;
}

function oneOf(
  env: NodeJS.ProcessEnv,
  name: string,
  { otherwise, of }: { otherwise: string; of: readonly string[] },
): string {
  const value = env[name] || otherwise;
  if (!of.includes(value))
    throw new Error(`${name} is "${value}"; it must be one of ${of.join(', ')}.`);
  return value;
}

function onOff(
  env: NodeJS.ProcessEnv,
  name: string,
  { otherwise }: { otherwise: 'on' | 'off' },
): boolean {
  return oneOf(env, name, { otherwise, of: ['on', 'off'] }) === 'on';
}

function list(env: NodeJS.ProcessEnv, name: string): string[] {
  return (env[name] ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function postgresUrl(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const text = env[name];
  if (!text) return undefined;
  if (!/^postgres(ql)?:\/\//.test(text)) {
    throw new Error(`${name} must start with postgres:// or postgresql://.`);
  }
  return text;
}
