import type { TestApp } from './app.ts';
import { intercept } from './queries.ts';

/** A server's loads of states. */
export interface StateLoads {
  /** The number of statements. */
  count: number;
  /** The kinds of the rows of the last statement. */
  kinds: unknown[];
  /** Holds the next statement until its release. Resolves when the statement arrives. */
  hold(): Promise<{ release(): void }>;
}

/** Watches the statements for loads of states. */
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
