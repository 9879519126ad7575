import type { HistoryRow } from './documents.ts';

/**
 * The rows after a read of the newest ones. Rows that are gone, as after an undone run, leave the list.
 * Undefined: the read does not reach the known rows.
 */
export function joinNewest<Row extends { checkpointId: string }>(
  known: readonly Row[],
  newest: readonly Row[],
): Row[] | undefined {
  const last = newest.at(-1);
  if (!last) return [];
  const at = known.findIndex(({ checkpointId }) => checkpointId === last.checkpointId);
  return at < 0 ? undefined : [...newest, ...known.slice(at + 1)];
}

/** Whether a row is the first one of its run in the list. */
export interface Band {
  isFirst: boolean;
}

/** The bands of runs: neighbours of one run belong together, and so do edits by hand. */
export function bandsOf(rows: readonly { runId: string | null }[]): Band[] {
  return rows.map(({ runId }, index) => ({
    isFirst: index === 0 || rows[index - 1]?.runId !== runId,
  }));
}

/** The names of nodes, with the number of their tasks: `search ×3`. */
export function countNames(names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => (count > 1 ? `${name} ×${count}` : name));
}

/** LangGraph's node in front of the first ones: it takes the input. */
const START = '__start__';

/** What made a checkpoint, in words. */
export function titleOfRow({ source, ran }: Pick<HistoryRow, 'source' | 'ran'>): string {
  if (source === 'INPUT') return 'Input';
  if (source === 'UPDATE') return 'Edited by hand';
  if (source === 'FORK') return 'Fork';
  return countNames(ran.filter((name) => name !== START)).join(', ') || 'Start';
}

/** The names of nodes on the path of a namespace: `writer:6f1c…|draft:91…` is writer and draft. */
export function namesOfNamespace(namespace: string): string[] {
  return namespace.split('|').map((part) => part.split(':')[0] ?? part);
}
