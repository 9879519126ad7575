import { ahead, number, overFloor } from './report.ts';
import type { Measure, Results } from './results.ts';
import { SERVER_TITLES, type ServerName } from './servers.ts';

/** The goal of a number: a ratio, and its highest or lowest value. */
interface Goal {
  what: string;
  ratio: number;
  atLeast?: number;
  atMost?: number;
}

const OURS = ['pg', 'embedded'] as const;
const THEIRS = ['peer', 'embed'] as const;
/** Reads that the peer answers from its memory, and threadql from a database. */
const SMALL = [
  'create a thread',
  'get a thread',
  'state',
  'history of 10',
  'copy of 200 checkpoints',
];
const OWN = ['state', 'history of 10', 'history of 100', 'copy of 200 checkpoints'];
const FEW = '1,000 threads';
const MANY = 'many threads';

/** A table of the goals, the missed goals, and the differences. Goals without a measurement are left out. */
export function renderGoals(results: Results): string {
  const goals = [
    ...aheadOfPeer(results),
    ...nearFloors(results),
    ...graphqlNextToRest(results),
    ...drained(results),
    ...threads(results),
    ...memory(results),
  ].filter(({ ratio }) => Number.isFinite(ratio));
  if (goals.length === 0) return '';
  const missed = goals.filter((goal) => !isMet(goal));
  return [
    '## Goals\n',
    `${goals.length - missed.length} of ${goals.length} are met.\n`,
    '| goal | ratio of medians | wanted | |',
    '| --- | --- | --- | --- |',
    ...[...missed, ...goals.filter(isMet)].map(
      (goal) =>
        `| ${goal.what} | ${number(goal.ratio)} | ${wanted(goal)} | ${isMet(goal) ? '' : '**missed**'} |`,
    ),
    '',
  ].join('\n');
}

function isMet({ ratio, atLeast = 0, atMost = Infinity }: Goal): boolean {
  return ratio >= atLeast && ratio <= atMost;
}

function wanted({ atLeast, atMost }: Goal): string {
  return atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
}

/** Rows for runs, streams, waits, recovery, and growth of the store. */
function* aheadOfPeer(results: Results): Generator<Goal> {
  for (const measure of results.measures()) {
    if (isSmall(measure) || isOurOwn(measure)) continue;
    for (const our of [...OURS, 'rest' as const]) {
      for (const their of THEIRS) {
        const ratio = ahead(results, measure, our, their);
        yield { what: `${titleOf(measure, our)}: ahead of ${their}`, ratio, atLeast: 1 };
      }
    }
  }
  for (const name of SMALL) {
    const measure: Measure = { row: 5, name: `${name}, ${FEW}`, unit: 'ms' };
    for (const our of OURS) {
      const ratio = 1 / ahead(results, measure, our, 'peer');
      yield { what: `${titleOf(measure, our)}: times the peer's`, ratio, atMost: 2 };
    }
  }
}

/** The rows of streams: GraphQL is not slower than REST. */
function* graphqlNextToRest(results: Results): Generator<Goal> {
  for (const measure of results.measures()) {
    if (measure.row !== 3) continue;
    const ratio = ahead(results, measure, 'pg', 'rest');
    yield { what: `${titleOf(measure, 'pg')}: ahead of REST`, ratio, atLeast: 1 };
  }
}

function isSmall({ row, name }: Measure): boolean {
  return row === 5 && SMALL.some((small) => name.startsWith(small));
}

/** Rows without a counterpart or with a fixed pace: memory, disk, and delivery on time. */
function isOurOwn({ unit, name }: Measure): boolean {
  return unit === 'MiB' || unit === 'KiB' || name.includes('20 tokens/s: delivered');
}

function* nearFloors(results: Results): Generator<Goal> {
  for (const measure of results.measures()) {
    for (const our of OURS) {
      const ratio = overFloor(results, measure, our);
      const what = `${titleOf(measure, our)}: of the floor`;
      if (measure.name === 'waited echo') yield { what, ratio, atMost: our === 'pg' ? 4 : 6 };
      if (measure.name.startsWith('first event')) yield { what, ratio, atMost: 4 };
      if (measure.name.startsWith('last event')) yield { what, ratio, atMost: 2 };
      if (measure.name === 'echo, 16 at once' && our === 'pg') yield { what, ratio, atLeast: 0.25 };
      if (measure.name.endsWith('delivered')) yield { what, ratio, atLeast: 0.5 };
    }
  }
}

function* drained(results: Results): Generator<Goal> {
  for (const measure of results.measures()) {
    if (measure.row !== 2 || !measure.name.endsWith('drained')) continue;
    const ratio = ahead(results, measure, 'pg', 'peer');
    yield { what: `${titleOf(measure, 'pg')}: times the peer's`, ratio, atLeast: 1.3 };
  }
}

/** Among many threads, compared to few. */
function* threads(results: Results): Generator<Goal> {
  const searches = new Set(
    results
      .measures()
      .filter(({ name }) => name.startsWith('search'))
      .map(({ name }) => name.slice(0, name.lastIndexOf(', '))),
  );
  for (const our of OURS) {
    for (const name of searches) {
      const ratio = results.p95(`${name}, ${MANY}`, our) / results.p95(`${name}, ${FEW}`, our);
      yield { what: `${name}, ${SERVER_TITLES[our]}: p95 of many to few`, ratio, atMost: 3 };
    }
    for (const name of OWN) {
      const ratio =
        results.median(`${name}, ${MANY}`, our) / results.median(`${name}, ${FEW}`, our);
      yield { what: `${name}, ${SERVER_TITLES[our]}: many to few`, ratio, atMost: 1.5 };
    }
  }
}

function* memory(results: Results): Generator<Goal> {
  const [few, many] = results.measures().filter(({ name }) => name.startsWith('memory after'));
  if (!few || !many) return;
  for (const our of OURS) {
    const ratio = results.median(many.name, our) / results.median(few.name, our);
    yield { what: `${many.name}, ${SERVER_TITLES[our]}: to ${few.name}`, ratio, atMost: 1.3 };
  }
}

function titleOf({ name }: Measure, our: ServerName): string {
  return `${name}, ${SERVER_TITLES[our]}`;
}
