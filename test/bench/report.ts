import { writeFile } from 'node:fs/promises';
import { format } from 'prettier';
import type { Measure, Results } from './results.ts';
import { SERVER_TITLES, type ServerName } from './servers.ts';

const TITLES: Record<number, string> = {
  1: 'createRun(wait), one after the other',
  2: 'Throughput, runs per second',
  3: 'From createRun to the end of the subscription',
  4: 'Tokens and subscribers',
  5: 'Threads: reads and writes among many',
  6: 'Memory, disk, start, recovery',
  7: 'Two worker processes against one',
};

const OURS: ReadonlySet<ServerName> = new Set(['pg', 'rest', 'embedded']);
const COLUMNS = Object.keys(SERVER_TITLES) as ServerName[];

/** A table per row: medians, p95 and n of each server, and the ratios of the medians. */
export function renderRow(results: Results, row: number): string {
  const measures = results.measures().filter((measure) => measure.row === row);
  const servers = COLUMNS.filter((server) =>
    measures.some(({ name }) => results.samples(name, server).length > 0),
  );
  const against = servers.filter((server) => server === 'peer' || server === 'embed');
  const ours = servers.filter((server) => OURS.has(server));
  const hasFloor = measures.some((measure) => measure.floor);
  const head = [
    'median (p95, n)',
    ...servers.map((server) => SERVER_TITLES[server]),
    ...ours.flatMap((our) => against.map((other) => `${our} ahead of ${other}`)),
    ...(hasFloor ? ours.map((our) => `${our} ÷ floor`) : []),
  ];
  const lines = measures.map((measure) => [
    `${measure.name} [${measure.unit}]`,
    ...servers.map((server) => cell(results, measure, server)),
    ...ours.flatMap((our) => against.map((other) => times(ahead(results, measure, our, other)))),
    ...(hasFloor ? ours.map((our) => times(overFloor(results, measure, our))) : []),
  ]);
  const notes = results.notes(row).map((note) => `${note}\n`);
  return [
    `## ${row}. ${TITLES[row] ?? ''}\n`,
    ...[head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`),
    '',
    ...notes,
  ].join('\n');
}

/** The ratio of speeds or sizes between threadql and another server. */
export function ahead(
  results: Results,
  { name, unit }: Measure,
  our: ServerName,
  other: ServerName,
): number {
  const [mine, theirs] = [results.median(name, our), results.median(name, other)];
  return unit === 'per s' ? mine / theirs : theirs / mine;
}

/** The ratio to the floor: of times or of throughputs. */
export function overFloor(results: Results, { name, floor }: Measure, our: ServerName): number {
  if (!floor) return NaN;
  const floors: ServerName[] = floor === 'both' ? ['graph', 'transport'] : [floor];
  const medians = floors.map((each) => results.median(name, each));
  const sum = medians.reduce((total, median) => total + median, 0);
  return results.median(name, our) / sum;
}

/** Formats the report like `npm run fix`. */
export async function writeReport(file: string, report: string): Promise<void> {
  await writeFile(file, await format(report, { parser: 'markdown' }));
}

function cell(results: Results, { name }: Measure, server: ServerName): string {
  const { length } = results.samples(name, server);
  if (length === 0) return '–';
  const p95 = length > 1 ? `${number(results.p95(name, server))}, ` : '';
  return `${number(results.median(name, server))} (${p95}${length})`;
}

function times(ratio: number): string {
  return Number.isFinite(ratio) ? `${number(ratio)} ×` : '–';
}

export function number(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
