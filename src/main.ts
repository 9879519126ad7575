import os from 'node:os';
import { readConfig } from './config.ts';
import { createLogger } from './log.ts';
import { poolRandomValues } from './random.ts';
import { startServer } from './server.ts';
import { handleStrayErrors } from './stray.ts';

const REPEAT_MS = 500;

const config = readConfig(process.env);
const log = createLogger(config.logLevel);
handleStrayErrors(log);
poolRandomValues(globalThis.crypto);

try {
  const server = await startServer(config, { log, env: process.env });
  log.info(`GraphiQL and the API are at ${server.url}/graphql`);
  stopOnSignals(server.stop);
} catch (error) {
  log.debug({ err: error });
  process.stderr.write(
    `threadql did not start. ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exit(1);
}

/** The first signal stops in good order, another one at once. */
function stopOnSignals(stop: () => Promise<void>): void {
  let stoppingSince: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stoppingSince !== undefined) {
        // npm passes a terminal's Ctrl-C on, so that one comes twice.
        if (performance.now() - stoppingSince < REPEAT_MS) return;
        log.warn(`${signal}: ending at once`);
        process.exit(128 + os.constants.signals[signal]);
      }
      stoppingSince = performance.now();
      log.info(`${signal}: stopping; again to end at once`);
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
