import type { ServerName } from './servers.ts';

/** A measured quantity: a line of a table. */
export interface Measure {
  row: number;
  name: string;
  unit: 'ms' | 's' | 'MiB' | 'KiB' | 'µs' | 'per s';
  /** The floor of the quantity: both floors together, or a single floor. */
  floor?: 'both' | 'graph' | 'transport';
}

/** All samples of a run. */
export interface Results {
  add(measure: Measure, server: ServerName, samples: readonly number[]): void;
  /** Adds a note below the table of a row. */
  note(row: number, text: string): void;
  measures(): Measure[];
  samples(name: string, server: ServerName): readonly number[];
  notes(row: number): string[];
  /** NaN without a measurement. */
  median(name: string, server: ServerName): number;
  p95(name: string, server: ServerName): number;
}

export function createResults(): Results {
  const measures = new Map<string, Measure>();
  const all = new Map<string, number[]>();
  const notes = new Map<number, Set<string>>();
  const keyOf = (name: string, server: ServerName) => `${server}: ${name}`;
  const samples = (name: string, server: ServerName) => all.get(keyOf(name, server)) ?? [];
  return {
    add(measure, server, added) {
      measures.set(measure.name, measure);
      all.set(keyOf(measure.name, server), [...samples(measure.name, server), ...added]);
    },
    note(row, text) {
      notes.set(row, (notes.get(row) ?? new Set()).add(text));
    },
    measures: () => [...measures.values()],
    samples,
    notes: (row) => [...(notes.get(row) ?? [])],
    median: (name, server) => quantile(samples(name, server), 0.5),
    p95: (name, server) => quantile(samples(name, server), 0.95),
  };
}

/** Returns NaN without samples. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  if (below === undefined || above === undefined) return NaN;
  return below + (above - below) * (at - Math.floor(at));
}
