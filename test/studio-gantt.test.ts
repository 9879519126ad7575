import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layoutChart, ticksOf, type ChartEvent } from '../src/studio/screens/thread/runs/gantt.ts';

const BEGIN = Date.parse('2026-01-01T00:00:00Z');

function event(type: string, ms: number, more: Partial<ChartEvent> = {}): ChartEvent {
  return {
    __typename: type,
    namespace: [],
    createdAt: new Date(BEGIN + ms).toISOString(),
    ...more,
  };
}

const started = (ms: number, attempt = 1) => event('RunStartedEvent', ms, { attempt });
const finished = (ms: number) => event('RunFinishedEvent', ms);
const begins = (ms: number, id: string, name: string, namespace: string[] = []) =>
  event('TasksEvent', ms, { namespace, task: { id, name, input: {} } });
const ends = (ms: number, id: string, name: string, more: object = {}, namespace: string[] = []) =>
  event('TasksEvent', ms, { namespace, task: { id, name, result: {}, ...more } });

describe('The chart of a run', () => {
  it('puts parallel tasks of a node into lines of one row, and later ones into the first free line', () => {
    const { rows } = layoutChart(
      [
        started(0),
        begins(10, 'a', 'search'),
        begins(10, 'b', 'search'),
        ends(20, 'a', 'search'),
        begins(30, 'c', 'search'),
        ends(40, 'b', 'search'),
        ends(50, 'c', 'search'),
        finished(60),
      ],
      0,
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ name: 'search', lanes: 2 });
    expect(rows[0]?.bars.map(({ taskId, lane, from, to }) => [taskId, lane, from, to])).toEqual([
      ['a', 0, 10, 20],
      ['b', 1, 10, 40],
      ['c', 0, 30, 50],
    ]);
  });

  it('puts the nodes of a subgraph below the node of the subgraph, not among nodes of the same name', () => {
    const inside = ['writer:1'];
    const { rows } = layoutChart(
      [
        started(0),
        begins(1, '0', 'draft'),
        ends(2, '0', 'draft'),
        begins(3, '1', 'writer'),
        begins(4, '2', 'draft', inside),
        ends(5, '2', 'draft', {}, inside),
        ends(6, '1', 'writer'),
        begins(7, '3', 'end'),
        ends(8, '3', 'end'),
        finished(9),
      ],
      0,
    );
    expect(rows.map(({ path }) => path.join(' > '))).toEqual([
      'draft',
      'writer',
      'writer > draft',
      'end',
    ]);
  });

  it('tells what became of each task: an error, a question, a lost worker, a stop', () => {
    const { rows, attempts } = layoutChart(
      [
        started(0),
        begins(1, 'lost', 'a'),
        started(100, 2),
        begins(101, 'lost', 'a'),
        ends(110, 'lost', 'a'),
        begins(111, 'b', 'b'),
        ends(112, 'b', 'b', { error: { message: 'Boo!' } }),
        begins(113, 'c', 'c'),
        ends(114, 'c', 'c', { interrupts: [{ value: 'Sure?' }] }),
        begins(115, 'd', 'd'),
        finished(120),
      ],
      0,
    );
    expect(attempts).toEqual([{ attempt: 2, at: 100 }]);
    const bars = rows.flatMap((row) => row.bars);
    expect(bars.map(({ outcome, attempt }) => [outcome, attempt])).toEqual([
      ['LOST', 1],
      ['DONE', 2],
      ['FAILED', 2],
      ['INTERRUPTED', 2],
      ['STOPPED', 2],
    ]);
    expect(bars[0]).toMatchObject({ from: 1, to: 100 });
    expect(bars[2]).toMatchObject({ error: 'Boo!' });
  });

  it('lets a running task last until now', () => {
    const chart = layoutChart([started(0), begins(10, 'a', 'a')], BEGIN + 500);
    expect(chart.length).toBe(500);
    expect(chart.rows[0]?.bars[0]).toMatchObject({ outcome: 'RUNNING', from: 10, to: 500 });
  });

  it('says since when events are stored', () => {
    expect(layoutChart([event('StreamGapEvent', 0), finished(5)], 0).gap).toBe(0);
    expect(layoutChart([started(0), finished(5)], 0).gap).toBeUndefined();
  });

  it('never draws two tasks over each other, and none outside of the chart', () => {
    const task = fc.record({
      name: fc.constantFrom('a', 'b'),
      from: fc.nat(1000),
      length: fc.nat(300),
    });
    fc.assert(
      fc.property(fc.array(task, { maxLength: 40 }), (tasks) => {
        const events = tasks
          .flatMap(({ name, from, length }, index) => [
            { at: from, event: begins(from, `${index}`, name) },
            { at: from + length + 1, event: ends(from + length + 1, `${index}`, name) },
          ])
          .toSorted((one, other) => one.at - other.at)
          .map(({ event: each }) => each);
        const { rows, length } = layoutChart([started(0), ...events, finished(2000)], 0);
        for (const { bars, lanes } of rows) {
          for (const [index, bar] of bars.entries()) {
            expect(bar.from).toBeGreaterThanOrEqual(0);
            expect(bar.to).toBeLessThanOrEqual(length);
            expect(bar.lane).toBeLessThan(lanes);
            const covers = bars
              .slice(0, index)
              .some((other) => other.lane === bar.lane && other.to > bar.from);
            expect(covers).toBe(false);
          }
        }
        expect(rows.flatMap(({ bars }) => bars)).toHaveLength(tasks.length);
      }),
    );
  });

  it('has a few round times on its axis', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 8 }), (length) => {
        const ticks = ticksOf(length);
        expect(ticks.length).toBeGreaterThanOrEqual(2);
        expect(ticks.length).toBeLessThanOrEqual(6);
        expect(ticks.every((tick) => tick <= length)).toBe(true);
      }),
    );
  });
});
