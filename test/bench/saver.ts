import { parseArgs } from 'node:util';
import { timed } from './bench.ts';
import { concurrently } from './concurrently.ts';
import { calibrate, describeMachine, loadAverage } from './machine.ts';
import { installPeer } from './peer.ts';
import { number, writeReport } from './report.ts';
import { quantile } from './results.ts';
import { openMemory, openOurs, openStock, type Durability, type Engine } from './savers.ts';
import { createPostgres } from './stores.ts';

// npm run bench:saver -- --turns 400 --rounds 3 --out file: the checkpoint store of threadql, the stock saver on the same
// PostgreSQL, and MemorySaver.

const { values } = parseArgs({
  options: {
    turns: { type: 'string', default: '10,100,400' },
    rounds: { type: 'string', default: '3' },
    out: { type: 'string' },
  },
});
const stops = values.turns.split(',').map(Number);
const rounds = Number(values.rounds);
const say = (line: string) => process.stderr.write(`${line}\n`);

const HISTORY = 10;
const HISTORY_READS = 10;
const LAST_TURNS = 10;
/** Four checkpoints a turn. */
const COPIED_TURNS = 250;
const CONCURRENCY = 20;
const RUNS = 200;
const DURABILITIES: readonly Durability[] = ['sync', 'async', 'exit'];

/** The measurements by line and engine. */
const table = new Map<string, Map<string, number[]>>();

function note(line: string, { name }: Engine, samples: number[]): void {
  const cells = table.get(line) ?? new Map<string, number[]>();
  cells.set(name, [...(cells.get(name) ?? []), ...samples]);
  table.set(line, cells);
}

/** A conversation, measured at several lengths. */
async function converse(engine: Engine): Promise<void> {
  const [threadId = ''] = await engine.prepare(1);
  const copyAt = Math.min(COPIED_TURNS, Math.max(...stops));
  let lastMs: number[] = [];
  let lastStatements: number[] = [];
  for (let turn = 1; turn <= Math.max(...stops); turn++) {
    const before = engine.statements();
    lastMs.push(await timed(() => engine.run(threadId, turn, 'async')));
    lastStatements.push(engine.statements() - before);
    [lastMs, lastStatements] = [lastMs.slice(-LAST_TURNS), lastStatements.slice(-LAST_TURNS)];
    await engine.next(threadId);
    if (stops.includes(turn)) {
      note(`KiB of a thread, ${turn} turns`, engine, [(await engine.bytes(threadId)) / 1024]);
      note(`statements of a turn, at ${turn}`, engine, lastStatements);
      note(`ms of a turn, at ${turn}`, engine, lastMs);
      for (let i = 0; i < HISTORY_READS; i++) {
        const tookMs = await timed(() => engine.history(threadId, HISTORY));
        note(`ms of a history of ${HISTORY}, ${turn} turns`, engine, [tookMs]);
      }
      say(`${engine.name}: ${turn} turns`);
    }
    if (turn === copyAt) {
      const tookMs = await timed(() => engine.copy(threadId));
      note(`ms of a copy of ${turn * 4} checkpoints`, engine, [tookMs]);
    }
  }
}

async function measureThroughput(engine: Engine, durability: Durability): Promise<number> {
  const ids = await engine.prepare(RUNS);
  const tookMs = await timed(() =>
    concurrently(CONCURRENCY, async (i) => {
      const id = ids[i];
      if (!id) return false;
      await engine.run(id, 0, durability);
      return true;
    }),
  );
  return (RUNS / tookMs) * 1000;
}

installPeer(say);
const loadBefore = loadAverage();
const calibrations = [calibrate(), calibrate()];
await using ourStore = await createPostgres();
await using stockStore = await createPostgres();
const engines = [await openOurs(ourStore), await openStock(stockStore), await openMemory()];
// First, because MemorySaver keeps a gigabyte afterwards. This makes the garbage collection of all engines slow.
for (const durability of DURABILITIES) {
  for (let round = 0; round <= rounds; round++) {
    for (const engine of engines) {
      const perSecond = await measureThroughput(engine, durability);
      // The first round warms up.
      if (round > 0) {
        note(`runs/s at ${CONCURRENCY} at once, ${durability.toUpperCase()}`, engine, [perSecond]);
      }
    }
  }
  say(durability);
}
for (const engine of engines) await converse(engine);
calibrations.push(calibrate());
for (const engine of engines) await engine.close();

const names = engines.map(({ name }) => name);
const [ours = '', stock = ''] = names;
const lines = [...table].map(([line, cells]) => {
  const medianOf = (name: string) => quantile(cells.get(name) ?? [], 0.5);
  const ratio = medianOf(stock) / medianOf(ours);
  const shown = names.map((name) =>
    Number.isFinite(medianOf(name)) ? number(medianOf(name)) : '–',
  );
  return [line, ...shown, `${number(line.startsWith('runs/s') ? 1 / ratio : ratio)} ×`];
});
const report = [
  '# The checkpoint store\n',
  'A conversation of 2 nodes and 3 KB of text per turn (ASYNC; statements and time: medians of the last ten turns), then two nodes on fresh threads. The stock saver and MemorySaver have no copy: their checkpoints are read and put again.\n',
  ...[
    ['', ...names, 'ahead of the stock saver'],
    ['---', ...names.map(() => '---'), '---'],
    ...lines,
  ].map((cells) => `| ${cells.join(' | ')} |`),
  '',
  ...(await describeMachine()).map((line) => `- ${line}`),
  `- Load average before: ${loadBefore}. A calibrating loop: ${calibrations.map(number).join(', ')} ms`,
  '',
].join('\n');
if (values.out) await writeReport(values.out, report);
process.stdout.write(`${report}\n`);
