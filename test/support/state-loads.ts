import type { TestApp } from './app.ts';
import { intercept } from './queries.ts';

/** The statements of a server that load states. */
export interface StateLoads {
  /** How many were sent. */
  count: number;
  /** The kinds of rows that the last one gave. */
  kinds: unknown[];
  /** Holds the next one back until it is released. Resolves when it is there. */
  hold(): Promise<{ release(): void }>;
}

/** Watches the statements that load states. */
export function watchStateLoads({ app }: TestApp): StateLoads {
  const { query } = app.sql;
  let onNext: (() => Promise<void>) | undefined;
  const loads: StateLoads = {
    count: 0,
    kinds: [],
    hold: () =>
      new Promise((resolve) => {
        onNext = () => new Promise((release) => resolve({ release }));
      }),
  };
  const watched = intercept(query, async ({ text }, send) => {
    if (!/FROM "ChannelValue"/.test(text)) return send();
    loads.count += 1;
    const wait = onNext;
    onNext = undefined;
    await wait?.();
    const rows = await send();
    loads.kinds = rows.map((row) => ('kind' in row ? row.kind : undefined));
    return rows;
  });
  app.sql.query = watched;
  return loads;
}
