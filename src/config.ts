import { resolve } from 'node:path';
import { completeDatabaseUrl } from './database-url.ts';

/** The settings from the environment. The table of settings in docs/operation.md has a row for each field. */
export interface Config {
  /** Port of the HTTP server. Default 4000; 0 selects a free port. */
  port: number;
  /** Address of the HTTP server. Default 127.0.0.1. */
  host: string;
  /** Absolute path of the file with the graphs. Default langgraph.json. */
  graphsFile: string;
  /** URL of PostgreSQL. If absent, the server uses an embedded database in `dataDir`. */
  databaseUrl: string | undefined;
  /** URL for LISTEN. Default `databaseUrl`; needed with PgBouncer in transaction mode, because it forwards no notifications. */
  databaseListenUrl: string | undefined;
  /** Absolute path of the embedded database. Default .threadql. */
  dataDir: string;
  /** Connections to PostgreSQL. Default 10; the embedded database has one. */
  poolSize: number;
  /** Concurrent runs; with 0, the server executes no runs. Default 50, because runs mostly wait for models. */
  workerConcurrency: number;
  /** Longest wait of a request with `wait: true`. Default 300. */
  waitSeconds: number;
  /** Concurrent requests with `wait: true`. Default 1,000. */
  waitingLimit: number;
  /** Time for runs to reach the end of a step when the server stops. Default 30. */
  shutdownGraceSeconds: number;
  /** Duration of a claim after the loss of its worker. Default 15. */
  leaseSeconds: number;
  /** If a graph blocks the event loop for longer, the process exits with status 70. Default 120; 0: no limit. */
  maxBlockedSeconds: number;
  /** Retention time of events after the end of their run. Default 24 h. */
  eventRetentionSeconds: number;
  /** The largest request body and WebSocket message. Default 1 MiB. */
  bodyLimitBytes: number;
  /** Open connections of all clients. Default 10,000. */
  connectionLimit: number;
  /** Open connections of an address; an IPv6 /64 network counts as a single address. Default 6,000. */
  addressConnections: number;
  /** Unread and unfinished bytes over all connections of an address. Default 256 MiB. */
  addressBufferBytes: number;
  /** Longest time for a client to send the head of a request. Default 20. */
  headerSeconds: number;
  /** Longest time for a client to send the body of a request. Default 60. */
  bodySeconds: number;
  /** Longest time without reads by a client during an answer; then the server closes the connection. Default 30. */
  writeSeconds: number;
  /** Time an idle connection stays open for the next request. Default 75. */
  keepAliveSeconds: number;
  /** Levels of selections in a document. Default 15. */
  depthLimit: number;
  /** Aliases in an operation. Default 50. */
  aliasLimit: number;
  /** Directives in an operation. Default 50. */
  directiveLimit: number;
  /** Tokens in a document. Default 5,000. */
  tokenLimit: number;
  /** Fields of a document, counted at every spread of their fragments, plus pairs of fields with the same name. Default 5,000. */
  selectionLimit: number;
  /** Largest possible number of fields in an operation's answer. Default 50,000. */
  costLimit: number;
  /** Longest execution of an operation or of an event, without the time waiting for a run. Default 60. */
  operationSeconds: number;
  /** Bytes of an answer or event, and stored bytes read for it. Default 64 MiB. */
  answerLimitBytes: number;
  /** Keys of a metadata object. For a run, includes the metadata of its assistant and its config. Default 100. */
  metadataKeyLimit: number;
  /** Bytes of a metadata object as JSON. Default 16,384. */
  metadataLimitBytes: number;
  /** Keys of `configurable`, and entries of `tags`. Default 100. */
  configKeyLimit: number;
  /** Bytes of a config, and of a context, as JSON. Default 262,144. */
  configLimitBytes: number;
  /** Levels of objects and lists in metadata, config and context. Default 20. */
  configDepthLimit: number;
  /** The largest `recursion_limit`. Default 1,000. */
  recursionLimit: number;
  /** Longest duration of a run, and the default of timeoutSeconds. Default 3,600. */
  runSeconds: number;
  /** Queued runs of a thread. Default 100. */
  queuedRunLimit: number;
  /** Bytes of a state, of a run's input and of its output. Default 64 MiB. */
  stateLimitBytes: number;
  /** Values written by the supersteps of a request; a value counts in its superstep and in each later one. Default 500,000. */
  superstepLimit: number;
  /** Bytes of an event. Default 64 MiB. */
  eventLimitBytes: number;
  /** Bytes of all events of a run. Default 512 MiB. */
  runEventLimitBytes: number;
  /** Concurrent operations on a WebSocket. Default 100. */
  socketOperationLimit: number;
  /** Sent bytes of a WebSocket still unread by its client. Default 8 MiB. */
  socketUnreadBytes: number;
  /** Time for a WebSocket to send connection_init. Default 5. */
  socketInitSeconds: number;
  /** Whether clients may query the schema. Default on. */
  introspection: boolean;
  /** Whether browsers get GraphiQL. Default on. */
  graphiql: boolean;
  /** Allowed values of the Host header, besides HOST, localhost and loopback addresses. */
  allowedHosts: readonly string[];
  /** Allowed web origins for browsers, besides the server's own origin. */
  corsOrigins: readonly string[];
  /** debug, info, warn, error or silent. Default info. */
  logLevel: string;
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'];

/**
 * Reads the server's environment variables. `THREADQL_PORT` takes precedence over `PORT`, and likewise for every variable:
 * a project may use the short name for its own purpose. Throws on the first invalid value.
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  return {
    port: integer(env, 'PORT', { otherwise: 4000, min: 0, max: 65_535 }),
    host: readSetting(env, 'HOST').text || '127.0.0.1',
    graphsFile: resolve(readSetting(env, 'THREADQL_CONFIG').text || 'langgraph.json'),
    databaseUrl: postgresUrl(env, 'DATABASE_URL'),
    databaseListenUrl: postgresUrl(env, 'DATABASE_LISTEN_URL'),
    dataDir: resolve(readSetting(env, 'THREADQL_DATA_DIR').text || '.threadql'),
    poolSize: integer(env, 'DATABASE_POOL_SIZE', { otherwise: 10, min: 1, max: 1000 }),
    workerConcurrency: integer(env, 'WORKER_CONCURRENCY', { otherwise: 50, min: 0, max: 1000 }),
    waitSeconds: integer(env, 'WAIT_SECONDS', { otherwise: 300, min: 1, max: 86_400 }),
    waitingLimit: integer(env, 'WAITING_LIMIT', { otherwise: 1000, min: 1, max: 1_000_000 }),
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
    connectionLimit: integer(env, 'CONNECTION_LIMIT', {
      otherwise: 10_000,
      min: 1,
      max: 1_000_000,
    }),
    addressConnections: integer(env, 'ADDRESS_CONNECTIONS', {
      otherwise: 6000,
      min: 1,
      max: 1_000_000,
    }),
    addressBufferBytes: integer(env, 'ADDRESS_BUFFER_BYTES', {
      otherwise: 268_435_456,
      min: 1_048_576,
      max: 1_099_511_627_776,
    }),
    headerSeconds: integer(env, 'HEADER_SECONDS', { otherwise: 20, min: 1, max: 3600 }),
    bodySeconds: integer(env, 'BODY_SECONDS', { otherwise: 60, min: 1, max: 3600 }),
    writeSeconds: integer(env, 'WRITE_SECONDS', { otherwise: 30, min: 1, max: 3600 }),
    keepAliveSeconds: integer(env, 'KEEP_ALIVE_SECONDS', { otherwise: 75, min: 1, max: 3600 }),
    depthLimit: integer(env, 'DEPTH_LIMIT', { otherwise: 15, min: 1, max: 1000 }),
    aliasLimit: integer(env, 'ALIAS_LIMIT', { otherwise: 50, min: 0, max: 1_000_000 }),
    directiveLimit: integer(env, 'DIRECTIVE_LIMIT', { otherwise: 50, min: 0, max: 1_000_000 }),
    tokenLimit: integer(env, 'TOKEN_LIMIT', { otherwise: 5000, min: 1, max: 1_000_000 }),
    selectionLimit: integer(env, 'SELECTION_LIMIT', { otherwise: 5000, min: 1, max: 1_000_000 }),
    costLimit: integer(env, 'COST_LIMIT', { otherwise: 50_000, min: 1, max: 1_000_000_000 }),
    operationSeconds: integer(env, 'OPERATION_SECONDS', { otherwise: 60, min: 1, max: 86_400 }),
    answerLimitBytes: integer(env, 'ANSWER_LIMIT_BYTES', {
      otherwise: 67_108_864,
      min: 1024,
      max: 268_435_456,
    }),
    metadataKeyLimit: integer(env, 'METADATA_KEY_LIMIT', { otherwise: 100, min: 1, max: 400 }),
    metadataLimitBytes: integer(env, 'METADATA_LIMIT_BYTES', {
      otherwise: 16_384,
      min: 256,
      max: 1_048_576,
    }),
    configKeyLimit: integer(env, 'CONFIG_KEY_LIMIT', { otherwise: 100, min: 1, max: 400 }),
    configLimitBytes: integer(env, 'CONFIG_LIMIT_BYTES', {
      otherwise: 262_144,
      min: 256,
      max: 16_777_216,
    }),
    configDepthLimit: integer(env, 'CONFIG_DEPTH_LIMIT', { otherwise: 20, min: 1, max: 100 }),
    recursionLimit: integer(env, 'RECURSION_LIMIT', { otherwise: 1000, min: 1, max: 1_000_000 }),
    runSeconds: integer(env, 'RUN_SECONDS', { otherwise: 3600, min: 1, max: 2_000_000 }),
    queuedRunLimit: integer(env, 'QUEUED_RUN_LIMIT', { otherwise: 100, min: 1, max: 100_000 }),
    stateLimitBytes: integer(env, 'STATE_LIMIT_BYTES', {
      otherwise: 67_108_864,
      min: 1024,
      max: 1_073_741_824,
    }),
    superstepLimit: integer(env, 'SUPERSTEP_LIMIT', {
      otherwise: 500_000,
      min: 100,
      max: 1_000_000_000,
    }),
    eventLimitBytes: integer(env, 'EVENT_LIMIT_BYTES', {
      otherwise: 67_108_864,
      min: 4096,
      max: 1_073_741_824,
    }),
    runEventLimitBytes: integer(env, 'RUN_EVENT_LIMIT_BYTES', {
      otherwise: 536_870_912,
      min: 4096,
      max: 1_099_511_627_776,
    }),
    socketOperationLimit: integer(env, 'SOCKET_OPERATION_LIMIT', {
      otherwise: 100,
      min: 1,
      max: 1_000_000,
    }),
    socketUnreadBytes: integer(env, 'SOCKET_UNREAD_BYTES', {
      otherwise: 8_388_608,
      min: 65_536,
      max: 1_073_741_824,
    }),
    socketInitSeconds: integer(env, 'SOCKET_INIT_SECONDS', { otherwise: 5, min: 1, max: 3600 }),
    introspection: onOff(env, 'INTROSPECTION', { otherwise: 'on' }),
    graphiql: onOff(env, 'GRAPHIQL', { otherwise: 'on' }),
    allowedHosts: list(env, 'ALLOWED_HOSTS'),
    corsOrigins: list(env, 'CORS_ORIGINS'),
    logLevel: oneOf(env, 'LOG_LEVEL', { otherwise: 'info', of: LOG_LEVELS }),
  };
}

const PREFIX = 'THREADQL_';

/** Reads a variable with the prefix, or without the prefix if the former is not set. An empty text means the default. */
function readSetting(env: NodeJS.ProcessEnv, name: string): { name: string; text: string } {
  const prefixed = name.startsWith(PREFIX) ? name : PREFIX + name;
  const text = env[prefixed];
  return text === undefined ? { name, text: env[name] ?? '' } : { name: prefixed, text };
}

function integer(
  env: NodeJS.ProcessEnv,
  setting: string,
  { otherwise, min, max }: { otherwise: number; min: number; max: number },
): number {
  const { name, text } = readSetting(env, setting);
  if (!text) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Error(`${name} is "${text}"; it must be a whole number from ${min} to ${max}.`);
  }
  return value;
}

const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
const LONGEST_SECONDS = 36_500 * 86_400;

/** Parses `90s`, `30m`, `24h`, `7d` or plain seconds. Returns seconds. */
function duration(
  env: NodeJS.ProcessEnv,
  setting: string,
  { otherwise }: { otherwise: string },
): number {
  const { name, text } = readSetting(env, setting);
  const [, digits, unit = 's'] = /^(\d+)([smhd])?$/.exec(text || otherwise) ?? [];
  const seconds = Number(digits) * (UNIT_SECONDS[unit] ?? 1);
  if (!(seconds >= 1 && seconds <= LONGEST_SECONDS)) {
    throw new Error(`${name} is "${text}"; it must be a time such as 90s, 30m, 24h or 7d.`);
  }
  return seconds;
}

function oneOf(
  env: NodeJS.ProcessEnv,
  setting: string,
  { otherwise, of }: { otherwise: string; of: readonly string[] },
): string {
  const { name, text } = readSetting(env, setting);
  const value = text || otherwise;
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
  return readSetting(env, name)
    .text.split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function postgresUrl(env: NodeJS.ProcessEnv, setting: string): string | undefined {
  const { name, text } = readSetting(env, setting);
  if (!text) return undefined;
  if (!/^postgres(ql)?:\/\//.test(text)) {
    throw new Error(`${name} must start with postgres:// or postgresql://.`);
  }
  return completeDatabaseUrl(text, env);
}
