import { stdSerializers } from 'pino';
import { isRecord } from '../json.ts';
import type { Logger } from '../log.ts';
import { currentRunId } from './uncaught-errors.ts';

/** `getLogger()` of every copy of @langchain/langgraph-sdk/logging reads this key of globalThis. */
const SDK_LOGGER = Symbol.for('langgraph.api.sdk-logger');

/** Levels of the SDK's logger, each with the server's level. */
const LEVELS = {
  error: 'error',
  warn: 'warn',
  help: 'info',
  data: 'info',
  info: 'info',
  debug: 'debug',
  prompt: 'info',
  http: 'info',
  verbose: 'debug',
  input: 'info',
  silly: 'debug',
} as const;

/** Makes `getLogger()` of the SDK return a logger that writes to the server's log, with the id of the current run. */
export function provideSdkLogger(log: Logger): void {
  const logger = Object.fromEntries(
    Object.entries(LEVELS).map(([name, level]) => [
      name,
      (...args: unknown[]) => {
        log[level]({ run: currentRunId(), ...fieldsOf(args) }, messageOf(args));
        return logger;
      },
    ]),
  );
  Reflect.set(globalThis, SDK_LOGGER, logger);
}

/** Objects are fields of the entry. They have a key of their own: an entry's level and time stay the server's. */
function fieldsOf(args: unknown[]): { err?: Error | undefined; data?: object } {
  const err = args.find((arg) => arg instanceof Error);
  const objects = args.filter((arg) => typeof arg === 'object' && !(arg instanceof Error));
  if (objects.length === 0) return { err };
  const entries = Object.entries(Object.assign({}, ...objects) as object);
  return { err, data: Object.fromEntries(entries.map(([key, value]) => [key, shown(value)])) };
}

/** The texts among the arguments; of an object alone, its `message`. */
function messageOf(args: unknown[]): string {
  const texts = args.filter((arg) => typeof arg !== 'object').map(String);
  if (texts.length > 0) return texts.join(' ');
  const [first] = args;
  return isRecord(first) && typeof first['message'] === 'string' ? first['message'] : '';
}

/** JSON would leave nothing of an error. */
function shown(value: unknown): unknown {
  return value instanceof Error ? stdSerializers.err(value) : value;
}
