import { AnswerTooLargeError, OperationTimeoutError, type AppError } from '../errors.ts';
import { createTurns } from '../turns.ts';
import type { LargeReads } from './large-reads.ts';

/** The limits of one operation. */
export interface OperationLimits {
  /** Seconds of its execution. */
  operationSeconds: number;
  /** Stored bytes of all values read. */
  answerLimitBytes: number;
}

/**
 * The execution of one query or mutation, or of one event of a subscription. It is over if its client has disconnected or it
 * has exceeded a limit. Then its resolvers start no more work.
 */
export interface Operation {
  /** True if the document selects a field with this name at any depth. */
  selects(field: string): boolean;
  /** Aborted when the operation is over. */
  signal: AbortSignal;
  /** Resolves if the operation goes over a limit. */
  exceeded: Promise<AppError>;
  /** Throws if the operation is over. */
  check(): void;
  /** Stored bytes within the limit. */
  readonly bytesLeft: number;
  /** Counts stored bytes. Above the limit, ends the operation and throws. */
  charge(bytes: number): void;
  /** Waits for permission for large reads, which the operation keeps until it is closed. See LargeReads. */
  beforeLarge(): Promise<void>;
  /** Runs one piece of work at a time and yields to the event loop between them. A piece must not call `inTurn`. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /** Stops the clock while the operation only waits. */
  untimed<T>(wait: () => Promise<T>): Promise<T>;
  /** Results of fields, by object, then by field name with arguments. */
  results: Map<object, Map<string, unknown>>;
  /** Stops the clock and gives back the permission for large reads. */
  close(): void;
}

/** The document and the client of an operation. */
interface Asked {
  /** The names of all fields of the document. */
  fields: ReadonlySet<string>;
  /** Aborted when the client disconnects. */
  left: AbortSignal | undefined;
  /** Shared by all operations of the process. */
  largeReads: LargeReads;
}

export function startOperation(
  { operationSeconds, answerLimitBytes }: OperationLimits,
  { fields, left, largeReads }: Asked,
): Operation {
  const ending = new AbortController();
  let tellExceeded: (error: AppError) => void = () => {};
  const exceeded = new Promise<AppError>((resolve) => {
    tellExceeded = resolve;
  });
  let bytes = 0;
  const permission = createPermission(largeReads, ending);

  const clock = startClock(operationSeconds * 1000, () =>
    exceed(new OperationTimeoutError(operationSeconds)),
  );
  const leave = (): void => ending.abort(new ClientLeftError());
  if (left?.aborted) leave();
  else left?.addEventListener('abort', leave);

  function exceed(error: AppError): void {
    ending.abort(error);
    tellExceeded(error);
  }

  const check = (): void => {
    if (ending.signal.aborted) throw ending.signal.reason;
  };

  return {
    selects: (field) => fields.has(field),
    signal: ending.signal,
    exceeded,
    check,
    get bytesLeft() {
      return answerLimitBytes - bytes;
    },
    charge(more) {
      bytes += more;
      if (bytes > answerLimitBytes) exceed(AnswerTooLargeError.ofRead(bytes, answerLimitBytes));
      check();
    },
    beforeLarge: permission.take,
    inTurn: createSequence(check),
    async untimed(wait) {
      clock.stop();
      try {
        return await wait();
      } finally {
        clock.goOn();
      }
    },
    results: new Map(),
    close() {
      clock.stop();
      left?.removeEventListener('abort', leave);
      permission.giveBack();
    },
  };
}

/** The permission of an operation for large reads. */
function createPermission(largeReads: LargeReads, ending: AbortController) {
  let place: Promise<() => void> | undefined;
  return {
    async take(): Promise<void> {
      await (place ??= largeReads.take(ending.signal));
    },
    giveBack(): void {
      if (!place) return;
      // Ends a wait for the permission.
      ending.abort();
      void place.then(
        (free) => free(),
        () => {},
      );
    },
  };
}

/** Runs one piece of work after another, each after `check`, and yields to the event loop between them. */
function createSequence(check: () => void): Operation['inTurn'] {
  const turns = createTurns();
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = last.then(async () => {
      if (turns.isOver()) await turns.next();
      check();
      return work();
    });
    last = done.catch(() => {});
    return done;
  };
}

/** The client is gone and never sees this error. */
class ClientLeftError extends Error {
  constructor() {
    super('The client has left.');
    this.name = 'AbortError';
  }
}

/** A timer with a pause. */
function startClock(ms: number, onEnd: () => void): { stop(): void; goOn(): void } {
  let left = ms;
  let began = performance.now();
  let timer = setTimeout(onEnd, left).unref();
  return {
    stop() {
      clearTimeout(timer);
      left -= performance.now() - began;
    },
    goOn() {
      began = performance.now();
      timer = setTimeout(onEnd, left).unref();
    },
  };
}
