import { completeDatabaseUrl } from './database-url.ts';
import {
  algorithms,
  duration,
  file,
  integer,
  list,
  onOff,
  oneOf,
  optionalText,
  postgresUrl,
  text,
  webUrl,
  type Setting,
} from './settings.ts';

/** The table of settings in docs/operation.md has a row for each of these. */
const SETTINGS = {
  /** Port of the HTTP server. 0 selects a free port. */
  port: integer('PORT', { otherwise: 4000, min: 0, max: 65_535 }),
  /** Address of the HTTP server. */
  host: text('HOST', { otherwise: '127.0.0.1' }),
  /** `keys`: clients log in with API keys. `none`: every client may do everything. `auto`: as the other settings say. */
  auth: oneOf('AUTH', { otherwise: 'auto', of: ['auto', 'keys', 'none'] }),
  /** The rows that members and readers see: `owner` their own, `tenant` all of their tenant. */
  authScope: oneOf('AUTH_SCOPE', { otherwise: 'owner', of: ['owner', 'tenant'] }),
  /** The answer to an action without a handler, if langgraph.json has handlers. */
  authUncovered: oneOf('AUTH_UNCOVERED', { otherwise: 'refuse', of: ['refuse', 'allow'] }),
  /** Absolute path of the file with the graphs. */
  graphsFile: file('THREADQL_CONFIG', { otherwise: 'langgraph.json' }),
  /** URL of PostgreSQL. If absent, the server uses an embedded database in `dataDir`. */
  databaseUrl: postgresUrl('DATABASE_URL'),
  /** URL for LISTEN. Default `databaseUrl`; needed with PgBouncer in transaction mode, because it forwards no notifications. */
  databaseListenUrl: postgresUrl('DATABASE_LISTEN_URL'),
  /** Absolute path of the embedded database. */
  dataDir: file('THREADQL_DATA_DIR', { otherwise: '.threadql' }),
  /** Connections to PostgreSQL. The embedded database has one. */
  poolSize: integer('DATABASE_POOL_SIZE', { otherwise: 10, min: 1, max: 1000 }),
  /** Concurrent runs; with 0, the server executes no runs. */
  workerConcurrency: integer('WORKER_CONCURRENCY', { otherwise: 50, min: 0, max: 1000 }),
  /** Longest wait of a request with `wait: true`. */
  waitSeconds: integer('WAIT_SECONDS', { otherwise: 300, min: 1, max: 86_400 }),
  /** Concurrent requests with `wait: true`. */
  waitingLimit: integer('WAITING_LIMIT', { otherwise: 1000, min: 1, max: 1_000_000 }),
  /** Time for runs to reach the end of a step when the server stops. */
  shutdownGraceSeconds: integer('SHUTDOWN_GRACE_SECONDS', {
    otherwise: 30,
    min: 0,
    max: 3600,
  }),
  /** Duration of a claim after the loss of its worker. */
  leaseSeconds: integer('LEASE_SECONDS', { otherwise: 15, min: 1, max: 3600 }),
  /** If a graph blocks the event loop for longer, the process exits with status 70. 0: no limit. */
  maxBlockedSeconds: integer('MAX_BLOCKED_SECONDS', { otherwise: 120, min: 0, max: 86_400 }),
  /** Retention time of events after the end of their run. */
  eventRetentionSeconds: duration('EVENT_RETENTION', { otherwise: '24h' }),
  /** The largest request body and WebSocket message. */
  bodyLimitBytes: integer('BODY_LIMIT_BYTES', {
    otherwise: 1_048_576,
    min: 1024,
    max: 1_073_741_824,
  }),
  /** Open connections of all clients. */
  connectionLimit: integer('CONNECTION_LIMIT', {
    otherwise: 10_000,
    min: 1,
    max: 1_000_000,
  }),
  /** Open connections of an address; an IPv6 /64 network counts as a single address. */
  addressConnections: integer('ADDRESS_CONNECTIONS', {
    otherwise: 6000,
    min: 1,
    max: 1_000_000,
  }),
  /** Unread and unfinished bytes over all connections of an address. */
  addressBufferBytes: integer('ADDRESS_BUFFER_BYTES', {
    otherwise: 268_435_456,
    min: 1_048_576,
    max: 1_099_511_627_776,
  }),
  /** Longest time for a client to send the head of a request. */
  headerSeconds: integer('HEADER_SECONDS', { otherwise: 20, min: 1, max: 3600 }),
  /** Longest time for a client to send the body of a request. */
  bodySeconds: integer('BODY_SECONDS', { otherwise: 60, min: 1, max: 3600 }),
  /** Longest time without reads by a client during an answer; then the server closes the connection. */
  writeSeconds: integer('WRITE_SECONDS', { otherwise: 30, min: 1, max: 3600 }),
  /** Time an idle connection stays open for the next request. */
  keepAliveSeconds: integer('KEEP_ALIVE_SECONDS', { otherwise: 75, min: 1, max: 3600 }),
  /** Levels of selections in a document. */
  depthLimit: integer('DEPTH_LIMIT', { otherwise: 15, min: 1, max: 1000 }),
  /** Aliases in an operation. */
  aliasLimit: integer('ALIAS_LIMIT', { otherwise: 50, min: 0, max: 1_000_000 }),
  /** Directives in an operation. */
  directiveLimit: integer('DIRECTIVE_LIMIT', { otherwise: 50, min: 0, max: 1_000_000 }),
  /** Tokens in a document. */
  tokenLimit: integer('TOKEN_LIMIT', { otherwise: 5000, min: 1, max: 1_000_000 }),
  /** Fields of a document, counted at every spread of their fragments, plus pairs of fields with the same name. */
  selectionLimit: integer('SELECTION_LIMIT', { otherwise: 5000, min: 1, max: 1_000_000 }),
  /** Largest possible number of fields in an operation's answer. */
  costLimit: integer('COST_LIMIT', { otherwise: 50_000, min: 1, max: 1_000_000_000 }),
  /** Units of cost of a viewer's operations per minute, in this process. 0: no limit. */
  rateLimit: integer('RATE_LIMIT', { otherwise: 0, min: 0, max: 1_000_000_000 }),
  /** Longest execution of an operation or of an event, without the time waiting for a run. */
  operationSeconds: integer('OPERATION_SECONDS', { otherwise: 60, min: 1, max: 86_400 }),
  /** Bytes of an answer or event, and stored bytes read for it. */
  answerLimitBytes: integer('ANSWER_LIMIT_BYTES', {
    otherwise: 67_108_864,
    min: 1024,
    max: 268_435_456,
  }),
  /** Keys of a metadata object. For a run, includes the metadata of its assistant and its config. */
  metadataKeyLimit: integer('METADATA_KEY_LIMIT', { otherwise: 100, min: 1, max: 400 }),
  /** Bytes of a metadata object as JSON. */
  metadataLimitBytes: integer('METADATA_LIMIT_BYTES', {
    otherwise: 16_384,
    min: 256,
    max: 1_048_576,
  }),
  /** Keys of `configurable`, and entries of `tags`. */
  configKeyLimit: integer('CONFIG_KEY_LIMIT', { otherwise: 100, min: 1, max: 400 }),
  /** Bytes of a config, and of a context, as JSON. */
  configLimitBytes: integer('CONFIG_LIMIT_BYTES', {
    otherwise: 262_144,
    min: 256,
    max: 16_777_216,
  }),
  /** Levels of objects and lists in metadata, config and context. */
  configDepthLimit: integer('CONFIG_DEPTH_LIMIT', { otherwise: 20, min: 1, max: 100 }),
  /** The largest `recursion_limit`. */
  recursionLimit: integer('RECURSION_LIMIT', { otherwise: 1000, min: 1, max: 1_000_000 }),
  /** Longest duration of a run, and the default of timeoutSeconds. */
  runSeconds: integer('RUN_SECONDS', { otherwise: 3600, min: 1, max: 2_000_000 }),
  /** Queued runs of a thread. */
  queuedRunLimit: integer('QUEUED_RUN_LIMIT', { otherwise: 100, min: 1, max: 100_000 }),
  /** Pending and running runs of an owner. 0: no limit. */
  ownerRunLimit: integer('OWNER_RUN_LIMIT', { otherwise: 0, min: 0, max: 1_000_000 }),
  /** Stored bytes of the threads of an owner. 0: no limit. */
  ownerStorageLimit: integer('OWNER_STORAGE_LIMIT', {
    otherwise: 0,
    min: 0,
    max: 1_000_000_000_000_000,
  }),
  /** Bytes of a state, of a run's input and of its output. */
  stateLimitBytes: integer('STATE_LIMIT_BYTES', {
    otherwise: 67_108_864,
    min: 1024,
    max: 1_073_741_824,
  }),
  /** Values written by the supersteps of a request; a value counts in its superstep and in each later one. */
  superstepLimit: integer('SUPERSTEP_LIMIT', {
    otherwise: 500_000,
    min: 100,
    max: 1_000_000_000,
  }),
  /** Bytes of an event. */
  eventLimitBytes: integer('EVENT_LIMIT_BYTES', {
    otherwise: 67_108_864,
    min: 4096,
    max: 1_073_741_824,
  }),
  /** Bytes of all events of a run. */
  runEventLimitBytes: integer('RUN_EVENT_LIMIT_BYTES', {
    otherwise: 536_870_912,
    min: 4096,
    max: 1_099_511_627_776,
  }),
  /** Concurrent operations on a WebSocket. */
  socketOperationLimit: integer('SOCKET_OPERATION_LIMIT', {
    otherwise: 100,
    min: 1,
    max: 1_000_000,
  }),
  /** Sent bytes of a WebSocket still unread by its client. */
  socketUnreadBytes: integer('SOCKET_UNREAD_BYTES', {
    otherwise: 8_388_608,
    min: 65_536,
    max: 1_073_741_824,
  }),
  /** Time for a WebSocket to send connection_init. */
  socketInitSeconds: integer('SOCKET_INIT_SECONDS', { otherwise: 5, min: 1, max: 3600 }),
  /** Whether clients may query the schema. */
  introspection: onOff('INTROSPECTION', { otherwise: 'on' }),
  /** Whether the server has the studio, at /studio. */
  studio: onOff('STUDIO', { otherwise: 'on' }),
  /** Whether browsers get GraphiQL. */
  graphiql: onOff('GRAPHIQL', { otherwise: 'on' }),
  /** Whether the server answers LangGraph's REST clients, beside GraphQL. */
  rest: onOff('REST', { otherwise: 'on' }),
  /** The largest request body of a REST client. */
  restBodyLimitBytes: integer('REST_BODY_LIMIT_BYTES', {
    otherwise: 16_777_216,
    min: 1024,
    max: 1_073_741_824,
  }),
  /** Allowed values of the Host header, besides HOST, localhost and loopback addresses. */
  allowedHosts: list('ALLOWED_HOSTS'),
  /** Allowed web origins for browsers, besides the server's own origin. */
  corsOrigins: list('CORS_ORIGINS'),
  /** Address of the public keys of the tokens (a JSON Web Key Set). */
  authJwksUrl: webUrl('AUTH_JWKS_URL'),
  /** The public key of the tokens in the PEM format, or the secret for HS256, HS384 and HS512. */
  authJwtKey: { ...optionalText('AUTH_JWT_KEY'), isSecret: true },
  /** Accepted audiences of tokens. */
  authAudience: list('AUTH_AUDIENCE'),
  /** The issuer of the tokens. If absent, any issuer that has the key. */
  authIssuer: optionalText('AUTH_ISSUER'),
  /** Accepted algorithms of tokens, of one family. */
  authAlgorithms: algorithms('AUTH_ALGORITHMS', { otherwise: 'RS256' }),
  /** Accepted difference between the clocks of the issuer and of the server. */
  authLeewaySeconds: duration('AUTH_LEEWAY', { otherwise: '30s', min: 0, max: '10m' }),
  /** The claim with the identity of the client: the owner of what it creates. */
  authClaimOwner: text('AUTH_CLAIM_OWNER', { otherwise: 'sub' }),
  /** The claim with the tenant. If absent, the tenant is "default". */
  authClaimTenant: optionalText('AUTH_CLAIM_TENANT'),
  /** The claim with the roles. */
  authClaimRoles: text('AUTH_CLAIM_ROLES', { otherwise: 'roles' }),
  /** The role of a token without a known role. */
  authDefaultRole: oneOf('AUTH_DEFAULT_ROLE', {
    otherwise: 'member',
    of: ['reader', 'member', 'admin'],
  }),
  /** debug, info, warn, error or silent. */
  logLevel: oneOf('LOG_LEVEL', {
    otherwise: 'info',
    of: ['debug', 'info', 'warn', 'error', 'silent'],
  }),
};

/** The settings from the environment. */
export type Config = {
  [Field in keyof typeof SETTINGS]: (typeof SETTINGS)[Field] extends Setting<infer Value>
    ? Value
    : never;
};

/**
 * Reads the server's environment variables. `THREADQL_PORT` takes precedence over `PORT`, and likewise for every variable:
 * a project may use the short name for its own purpose. Throws on the first invalid value.
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const fields = Object.entries<Setting<unknown>>(SETTINGS).map(([field, setting]) => [
    field,
    readSetting(env, setting),
  ]);
  const config = Object.fromEntries(fields) as Config;
  const complete = (url: string | undefined) => url && completeDatabaseUrl(url, env);
  return {
    ...config,
    databaseUrl: complete(config.databaseUrl),
    databaseListenUrl: complete(config.databaseListenUrl),
  };
}

const PREFIX = 'THREADQL_';

/** Reads a variable with the prefix, or without the prefix if the former is not set. An empty text means the default. */
function readSetting(env: NodeJS.ProcessEnv, { variable, type, isSecret }: Setting<unknown>) {
  const prefixed = variable.startsWith(PREFIX) ? variable : PREFIX + variable;
  const name = env[prefixed] === undefined ? variable : prefixed;
  const given = env[name] || undefined;
  const { error, data } = type.safeParse(given);
  if (!error) return data;
  const shown = isSecret ? '' : ` is "${given}"; it`;
  throw new Error(`${name}${shown} must ${error.issues[0]?.message}.`);
}
