import type { CompiledGraph } from '../graphs/load.ts';
import { findSubgraph } from '../graphs/subgraphs.ts';
import { isRecord } from '../json.ts';
import { once } from '../once.ts';
import { readControl } from './control.ts';
import type { CheckpointRow } from './find.ts';
import { inTurn, type Reading } from './graphs.ts';
import { serdeOf } from './serde.ts';
import { shownValues, takeSnapshot } from './snapshot.ts';
import { readTuples } from './tuples.ts';

/** The channels of a state that clients see. Undefined for a state that is the value of a single channel. */
export function shownChannels(
  served: CompiledGraph | undefined,
  namespace: string,
): ((channel: string) => boolean) | undefined {
  const graph = served && findSubgraph(served, namespace);
  if (!graph) return (channel) => !channel.startsWith('__') && !channel.startsWith('branch:');
  const shown: unknown = graph.streamChannelsAsIs;
  return Array.isArray(shown) ? (channel) => shown.includes(channel) : undefined;
}

type ValuesOf = (row: CheckpointRow, channels: readonly string[]) => Promise<unknown>;

/**
 * Reads some channels of checkpoints of a namespace, with common statements for all of them. The result is undefined if the channels
 * need the whole state: writes on top of the checkpoint count, or the state is the value of a single channel.
 */
export function valuesOfChannels(
  app: Reading,
  rows: readonly CheckpointRow[],
  {
    graphs,
    current,
  }: { graphs: () => Promise<readonly (CompiledGraph | undefined)[]>; current: boolean },
): ValuesOf {
  const { query } = app.sql;
  const written = once(async () => {
    const read = { channels: [], current, budget: app.operation };
    const { writes } = await inTurn(app, () => readControl(query, rows, read));
    return new Set(writes.map(({ checkpointId }) => checkpointId));
  });
  const reads = new Map<string, ReturnType<typeof readTuples>>();
  function readOnce(channels: readonly string[]): ReturnType<typeof readTuples> {
    const key = JSON.stringify(channels);
    const only = new Set(channels);
    const read = reads.get(key) ?? inTurn(app, () => readTuples(query, rows, app.operation, only));
    reads.set(key, read);
    return read;
  }
  return async (row, channels) => {
    const i = rows.indexOf(row);
    const graph = (await graphs())[i];
    if (!shownChannels(graph, row.namespace)) return undefined;
    if ((await written()).has(row.checkpointId)) return undefined;
    const decode = (await readOnce(channels))[i];
    if (!decode) return undefined;
    return inTurn(app, async () => {
      const tuple = await decode(serdeOf(graph));
      return pick(shownValues(await takeSnapshot(query, graph, { tuple })), channels);
    });
  };
}

/** The values of these channels. A state that is the value of a single channel stays whole. */
export function pick(values: unknown, channels: readonly string[]): unknown {
  if (!isRecord(values)) return values;
  return Object.fromEntries(Object.entries(values).filter(([name]) => channels.includes(name)));
}
