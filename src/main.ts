import { existsSync } from 'node:fs';
import os from 'node:os';
import { dirname } from 'node:path';
import { register as registerCommonJs } from 'tsx/cjs/api';
import { register as registerModules } from 'tsx/esm/api';
import { readConfig } from './config.ts';
import { createLogger, type Logger } from './log.ts';
import { poolRandomValues } from './runs/random-pool.ts';
import { provideSdkLogger } from './runs/sdk-logger.ts';
import { handleUncaughtErrors } from './runs/uncaught-errors.ts';
import { startServer } from './server.ts';

const REPEAT_MS = 500;

/** After the grace period of the runs: time for answers, for the release of claims and for the database to close. */
const STOP_SECONDS = 20;

/** Starts the server as the environment configures it. If it does not start, the process ends with status 1. */
export async function main(): Promise<void> {
  const config = await orEnd(async () => readConfig(process.env));
  const log = createLogger(config.logLevel);
  handleUncaughtErrors(log);
  poolRandomValues(globalThis.crypto);
  provideSdkLogger(log);

  const server = await orEnd(async () => {
    enterProject(dirname(config.graphsFile));
    return startServer(config, { log, env: process.env });
  }, log);
  if (config.studio) log.info(`The studio is at ${server.url}/studio`);
  log.info(`GraphiQL and the API are at ${server.url}/graphql`);
  stopOnSignals(server.stop, { log, withinSeconds: config.shutdownGraceSeconds + STOP_SECONDS });
}

/** Returns the result of a part of the start. An error ends the process: its message is for the operator, without a stack. */
async function orEnd<Result>(start: () => Promise<Result>, log?: Logger): Promise<Result> {
  try {
    return await start();
  } catch (error) {
    log?.debug({ err: error });
    process.stderr.write(
      `threadql did not start. ${error instanceof Error ? error.message : String(error)}\n`,
    );
    return process.exit(1);
  }
}

/** Prepares to load the code of a project with the working directory and the tsconfig.json of its folder. */
function enterProject(folder: string): void {
  if (existsSync(folder)) process.chdir(folder);
  // Both functions read the tsconfig.json of the working directory.
  registerModules();
  registerCommonJs();
}

/** The first signal stops the server gracefully within the given time; a second signal ends the process at once. */
function stopOnSignals(
  stop: () => Promise<void>,
  { log, withinSeconds }: { log: Logger; withinSeconds: number },
): void {
  let stoppingSince: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stoppingSince !== undefined) {
        // The terminal and npm both send the signal of a Ctrl-C.
        if (performance.now() - stoppingSince < REPEAT_MS) return;
        log.warn(`${signal}: ending at once`);
        process.exit(128 + os.constants.signals[signal]);
      }
      stoppingSince = performance.now();
      log.info(`${signal}: stopping; again to end at once`);
      setTimeout(() => {
        log.error(
          `The server did not stop within ${withinSeconds} s, for example since the database does not answer, and ends now. ` +
            `Its runs go on in another process, or after a restart.`,
        );
        process.exit(1);
      }, withinSeconds * 1000);
      stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ err: error }, 'The server did not stop in good order.');
          process.exit(1);
        },
      );
    });
  }
}
