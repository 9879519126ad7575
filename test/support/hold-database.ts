// Opens the database of the environment, reports it, and keeps it open until the process is killed.
import process from 'node:process';
import { readConfig } from '../../src/config.ts';
import { openDatabase } from '../../src/db/open.ts';
import { createLogger } from '../../src/log.ts';

await openDatabase(readConfig(process.env), createLogger('silent'));
process.stdout.write('open\n');
process.stdin.resume();
