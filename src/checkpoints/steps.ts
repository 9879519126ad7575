import { TASKS } from '@langchain/langgraph-checkpoint';
import type { CompiledGraph } from '../graphs/load.ts';
import { findSubgraph } from '../graphs/subgraphs.ts';
import {
  hasValue,
  isWhole,
  itemsIn,
  nodeOfSend,
  nodesOfSends,
  readControl,
  type Control,
  type ControlChannel,
  type ControlValue,
} from './control.ts';
import { loadValue } from './decode.ts';
import type { CheckpointRow } from './find.ts';
import { inTurn, type Reading } from './graphs.ts';
import { versionKey } from './load.ts';
import { serdeOf } from './serde.ts';
import { SENDS_FORMAT } from './tuples.ts';

// The nodes of the steps after and before checkpoints, from the versions of the channels. LangGraph would need all values.

/** A checkpoint with its graph, as served. */
interface Served {
  row: CheckpointRow;
  graph: CompiledGraph | undefined;
}

/**
 * The names in LangGraph's `next` of checkpoints of one namespace. Undefined for a checkpoint where they depend on more than the
 * channels that start nodes. One statement reads the channels of all.
 */
export async function readNext(
  app: Reading,
  served: readonly Served[],
  { current }: { current: boolean },
): Promise<(string[] | undefined)[]> {
  const own = served.map(({ row, graph }) => ({
    row,
    by: graph,
    graph: graph && findSubgraph(graph, row.namespace),
  }));
  const channels = own.flatMap(({ row, graph }) => (graph ? channelsToRead(row, graph) : []));
  const rows = served.map(({ row }) => row);
  const control = await inTurn(app, () =>
    readControl(app.sql.query, rows, {
      channels: withoutRepeats(channels),
      current,
      budget: app.operation,
    }),
  );
  const written = new Set(control.writes.map(({ checkpointId }) => checkpointId));
  return Promise.all(
    own.map(async ({ row, graph, by }) => {
      if (!graph) return [];
      if (written.has(row.checkpointId) || row.format < SENDS_FORMAT) return undefined;
      return nextOf({
        row,
        graph,
        control,
        isAvailable: availability({ row, graph, by, control }),
      });
    }),
  );
}

function withoutRepeats(channels: readonly ControlChannel[]): ControlChannel[] {
  return [...new Map(channels.map((channel) => [versionKey(channel), channel])).values()];
}

// ── Next ─────────────────────────────────────────────────────────────────────────────────────

interface Trigger {
  lc_graph_name?: string;
  fromCheckpoint?(value?: unknown): { isAvailable(): boolean };
}

/** Channels with a value from the first write on. */
const FILLED_BY_A_WRITE = new Set(['EphemeralValue', 'LastValue', 'AnyValue']);

function channelOf(graph: CompiledGraph, name: string): Trigger {
  return (graph.channels as Record<string, Trigger>)[name] ?? {};
}

function nodesOf(graph: CompiledGraph): Record<string, Node> {
  return graph.nodes;
}

/** The channels that a node may start from, and the channels of its input if they decide about its start. */
function decidingChannels({ triggers, channels }: Node): string[] {
  return Array.isArray(channels) ? [...triggers, ...channels] : triggers;
}

function channelsToRead(row: CheckpointRow, graph: CompiledGraph): ControlChannel[] {
  const names = new Set([TASKS, ...Object.values(nodesOf(graph)).flatMap(decidingChannels)]);
  return Array.from(names).flatMap((channel) => {
    const version = row.versions[channel];
    const isDeep = !FILLED_BY_A_WRITE.has(channelOf(graph, channel).lc_graph_name ?? '');
    return version === undefined ? [] : [{ channel, version, isDeep }];
  });
}

interface Node {
  triggers: string[];
  channels: Record<string, string> | string[];
  mapper?: unknown;
}

type Availability = (channel: string) => Promise<boolean | undefined>;

interface Stored {
  row: CheckpointRow;
  graph: CompiledGraph;
  control: Control;
}

/** Whether a channel has a value for its readers. Undefined if its large content decides it. */
function availability({
  row,
  graph,
  by,
  control,
}: Stored & { by: CompiledGraph | undefined }): Availability {
  return async (name) => {
    const channel = channelOf(graph, name);
    const kind = channel.lc_graph_name ?? '';
    if (!channel.fromCheckpoint || kind === 'DeltaChannel') return undefined;
    const value = storedIn(row, control, name);
    if (!hasValue(value)) return channel.fromCheckpoint().isAvailable();
    if (FILLED_BY_A_WRITE.has(kind)) return true;
    const isKnown = value && [value, ...itemsIn(control, value)].every(isWhole);
    if (!isKnown) return undefined;
    const items = Array.from(control.items, ([number, { type, head }]) => {
      return [number, { type, value: head }] as const;
    });
    const content = { ...value, value: value.head };
    return channel
      .fromCheckpoint(await loadValue(serdeOf(by), new Map(items), content))
      .isAvailable();
  };
}

function storedIn(
  row: CheckpointRow,
  { values }: Control,
  channel: string,
): ControlValue | undefined {
  const version = row.versions[channel];
  return version === undefined ? undefined : values.get(versionKey({ channel, version }));
}

/** The nodes of the Sends, then the nodes with a new version of a channel: as LangGraph prepares the tasks of a step. */
async function nextOf({
  row,
  graph,
  control,
  isAvailable,
}: Stored & { isAvailable: Availability }): Promise<string[] | undefined> {
  const sends = storedIn(row, control, TASKS);
  const sent = sends ? nodesOfSends(control, sends) : [];
  if (!sent) return undefined;
  const next = sent.filter((name) => name in graph.nodes);
  for (const [name, node] of Object.entries(nodesOf(graph))) {
    const starts = await startsOf(row, { name, node, isAvailable });
    if (starts === undefined) return undefined;
    if (starts) next.push(name);
  }
  return next;
}

interface NodeOf {
  name: string;
  node: Node;
  isAvailable: Availability;
}

/** Whether a node starts in the next step. Undefined if this is unknown. */
async function startsOf(
  row: CheckpointRow,
  { name, node: { triggers, channels, mapper }, isAvailable }: NodeOf,
): Promise<boolean | undefined> {
  const seen = row.versionsSeen[name] ?? {};
  const fresh = triggers.filter(
    (channel) => Number(row.versions[channel] ?? 0) > Number(seen[channel] ?? 0),
  );
  const isTriggered = await anyOf(fresh, isAvailable);
  if (!isTriggered) return isTriggered;
  if (Array.isArray(channels)) return mapper ? undefined : anyOf(channels, isAvailable);
  const needed = Object.values(channels).filter((channel) => triggers.includes(channel));
  const found = await Promise.all(needed.map(isAvailable));
  return found.includes(undefined) ? undefined : !found.includes(false);
}

async function anyOf(
  channels: readonly string[],
  isAvailable: Availability,
): Promise<boolean | undefined> {
  const found = await Promise.all(channels.map(isAvailable));
  if (found.includes(true)) return true;
  return found.includes(undefined) ? undefined : false;
}

// ── Ran ──────────────────────────────────────────────────────────────────────────────────────

/** Entries of `versionsSeen` that are not nodes. */
const NO_NODES = new Set(['__input__', '__interrupt__']);

/**
 * The nodes of the steps between each checkpoint and its parent: for each Send its node, then the nodes that channels started. One
 * statement reads the Sends of all parents.
 */
export async function readRan(
  app: Reading,
  rows: readonly CheckpointRow[],
  parents: readonly CheckpointRow[],
): Promise<Map<CheckpointRow, string[]>> {
  const channels = parents.flatMap(({ versions }) => {
    const version = versions[TASKS];
    return version === undefined ? [] : [{ channel: TASKS, version, isDeep: true }];
  });
  const read = { channels: withoutRepeats(channels), current: false, budget: app.operation };
  const control = await inTurn(app, () => readControl(app.sql.query, parents, read));
  const byId = new Map(parents.map((parent) => [parent.checkpointId, parent]));
  const ofSteps = rows.filter(({ source }) => source === 'LOOP');
  return new Map(
    ofSteps.map((row) => {
      const parent = byId.get(row.parentId ?? '');
      if (!parent) return [row, row.parentId === null ? startedNodes(row, {}) : []];
      return [row, [...sentTo(row, parent, control), ...startedNodes(row, parent.versionsSeen)]];
    }),
  );
}

function startedNodes(row: CheckpointRow, seenBefore: CheckpointRow['versionsSeen']): string[] {
  const started = Object.entries(row.versionsSeen).filter(([name, seen]) => {
    const before = seenBefore[name] ?? {};
    return Object.entries(seen).some(([channel, version]) => before[channel] !== version);
  });
  return started.flatMap(([name]) => (NO_NODES.has(name) ? [] : name)).toSorted();
}

/** The nodes of the Sends of a step. A Send in the run's own command replaces those of the checkpoint. */
function sentTo(row: CheckpointRow, parent: CheckpointRow, control: Control): string[] {
  const commanded = control.writes
    .filter(
      ({ checkpointId, channel, runId }) =>
        checkpointId === parent.checkpointId && channel === TASKS && runId === row.runId,
    )
    .toSorted((a, b) => a.index - b.index)
    .flatMap((write) => nodeOfSend(String(itemsIn(control, write)[0]?.head ?? write.head)) ?? []);
  if (commanded.length > 0) return commanded;
  const sends = storedIn(parent, control, TASKS);
  return (sends && nodesOfSends(control, sends)) ?? [];
}
