import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseChannels, joinChannels } from '../src/studio/screens/thread/state/channels.ts';
import { differences } from '../src/studio/screens/thread/state/difference.ts';
import {
  branchBeside,
  layLanes,
  type Edge,
  type Node,
} from '../src/studio/screens/thread/timeline/lanes.ts';
import { bandsOf, joinNewest, titleOfRow } from '../src/studio/screens/thread/timeline/rows.ts';
import {
  flatten,
  inside,
  namesOf,
  preview,
  search,
  valueAt,
  withAncestors,
} from '../src/studio/ui/json/tree.ts';
import { moveInTree } from '../src/studio/ui/json/tree-keys.ts';

/** Checkpoints newest first. Each but the oldest has a parent below it: `parents` says how far below. */
function treeOf(parents: readonly number[]): Node[] {
  return parents.map((distance, row) => {
    const parent = row + 1 + (distance % Math.max(1, parents.length - row - 1));
    return {
      checkpointId: String(row),
      parentCheckpointId: row === parents.length - 1 ? null : String(parent),
    };
  });
}

/** Mostly the next row, as in a conversation, and sometimes a row further down, as after a fork. */
const someTree = fc
  .array(fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(50)), {
    minLength: 1,
    maxLength: 60,
  })
  .map(treeOf);

/** The lanes that lines cover: a line covers its lane from its child to the row before its end. */
function findCollision(rows: readonly Node[], isOpen: boolean): string | undefined {
  const { lanes, edges } = layLanes(rows, isOpen);
  const taken = new Map<string, number>();
  for (const { child, end } of edges) {
    for (let row = child; row < end; row++) {
      const place = `${lanes[child]} ${row}`;
      if (taken.has(place)) return `rows ${taken.get(place)} and ${child} share lane ${place}`;
      taken.set(place, child);
    }
  }
  // The dot of another row must not be on a line.
  const isHit = (row: number) => {
    const owner = taken.get(`${lanes[row]} ${row}`);
    return owner !== undefined && owner !== row;
  };
  const hit = rows.findIndex((_, row) => isHit(row));
  return hit < 0 ? undefined : `row ${hit} is on the line of another row`;
}

const someJson = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.parse(JSON.stringify(value)));
/** The library for differences cannot name `__proto__`, and neither can a channel. */
const someState = fc
  .dictionary(fc.string(), someJson)
  .filter((state) => !JSON.stringify(state).includes('__proto__'));

describe('The lanes of a timeline', () => {
  it('never use a lane for two rows at once, and draw each line once', () => {
    fc.assert(
      fc.property(someTree, fc.boolean(), fc.nat(60), (tree, isOpen, length) => {
        const rows = tree.slice(0, length + 1);
        expect(findCollision(rows, isOpen)).toBeUndefined();
        const drawn = layLanes(rows, isOpen).edges.map(({ child }) => child);
        const expected = rows.flatMap((row, index) => (row.parentCheckpointId ? [index] : []));
        expect(drawn.toSorted((a, b) => a - b)).toEqual(expected);
      }),
    );
  });

  it('lead each line to its parent', () => {
    fc.assert(
      fc.property(someTree, (rows) => {
        const parentOf = ({ parent }: Edge) =>
          parent === undefined ? undefined : rows[parent]?.checkpointId;
        for (const edge of layLanes(rows, false).edges) {
          expect(parentOf(edge)).toBe(rows[edge.child]?.parentCheckpointId);
        }
      }),
    );
  });

  it('lay 10,000 checkpoints in one pass: each row is read a few times, also when all fork from one', () => {
    for (const parents of [
      Array.from({ length: 10_000 }, () => 0),
      Array.from({ length: 10_000 }, () => 9_999),
      Array.from({ length: 10_000 }, (_, row) => (row * 7919) % 5),
    ]) {
      let reads = 0;
      const rows = treeOf(parents).map(({ checkpointId, parentCheckpointId }) => ({
        get checkpointId() {
          reads++;
          return checkpointId;
        },
        parentCheckpointId,
      }));
      const { lanes, edges } = layLanes(rows, false);
      expect(lanes).toHaveLength(10_000);
      expect(edges).toHaveLength(9999);
      expect(reads).toBeLessThanOrEqual(30_000);
    }
  });

  it('keep a conversation without forks in one lane, and lines to unread rows open', () => {
    const rows = treeOf([0, 0, 0, 0]);
    expect(layLanes(rows, false)).toMatchObject({ lanes: [0, 0, 0, 0], width: 1 });
    const { edges } = layLanes(rows.slice(0, 3), true);
    expect(edges.at(-1)).toEqual({ child: 2, parent: undefined, end: 3 });
  });

  it('know the branches beside a row, also from further up in a branch', () => {
    const node = (checkpointId: string, parentCheckpointId: string | null): Node => ({
      checkpointId,
      parentCheckpointId,
    });
    const rows = [
      node('c', 'root'),
      node('b2', 'b1'),
      node('b1', 'root'),
      node('a', 'root'),
      node('root', null),
    ];
    expect(branchBeside(rows, 1, 1)).toBe(0);
    expect(branchBeside(rows, 1, -1)).toBe(3);
    expect(branchBeside(rows, 0, 1)).toBe(3);
    expect(branchBeside(rows, 4, 1)).toBeUndefined();
  });
});

describe('The rows of a timeline', () => {
  const rows = (...ids: string[]) => ids.map((checkpointId) => ({ checkpointId }));

  it('take new checkpoints at the front, and lose those of an undone run', () => {
    expect(joinNewest(rows('b', 'a'), rows('c', 'b'))).toEqual(rows('c', 'b', 'a'));
    expect(joinNewest(rows('c', 'b', 'a', '0'), rows('b', 'a'))).toEqual(rows('b', 'a', '0'));
    expect(joinNewest(rows('a'), rows('d', 'c'))).toBeUndefined();
    expect(joinNewest(rows('a'), [])).toEqual([]);
  });

  it('belong together when one run made them', () => {
    const of = (...runs: (string | null)[]) =>
      bandsOf(runs.map((runId) => ({ runId }))).map(({ isFirst }) => isFirst);
    expect(of('b', 'b', null, null, 'a')).toEqual([true, false, true, false, true]);
  });

  it('say which nodes ran, or who wrote them', () => {
    expect(titleOfRow({ source: 'LOOP', ran: ['search', 'search', 'plan'] })).toBe(
      'search ×2, plan',
    );
    expect(titleOfRow({ source: 'UPDATE', ran: [] })).toBe('Edited by hand');
  });
});

describe('A JSON tree', () => {
  it('has a row for each value when all is open, and its pointer leads to the value', () => {
    fc.assert(
      fc.property(someState, (state) => {
        const rows = flatten(state, () => true);
        for (const { pointer, value } of rows) expect(valueAt(state, pointer)).toBe(value);
        expect(new Set(rows.map(({ pointer }) => pointer)).size).toBe(rows.length);
        expect(rows).toHaveLength(countValues(state));
      }),
    );
  });

  it('shows what a search finds with the way to it', () => {
    const state = { messages: [{ content: 'Tea please' }, { content: 'Coffee' }], other: 1 };
    const found = search(state, 'TEA');
    expect(found).toEqual(['/messages/0/content']);
    const rows = flatten(state, () => true, withAncestors(found));
    expect(rows.map(({ pointer }) => pointer)).toEqual([
      '/messages',
      '/messages/0',
      '/messages/0/content',
    ]);
    expect(search(state, 'content', 1)).toHaveLength(1);
  });

  it('reads pointers of names with slashes and tildes', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (names) => {
        const pointer = names.reduce((above, name) => inside(above, name), '');
        expect(namesOf(pointer)).toEqual(names);
      }),
    );
  });

  it('folds long texts and data URIs into one short line', () => {
    expect(preview('x'.repeat(5_000_000))).toMatch(/^"x{90}"… 5\.0 MB$/);
    expect(preview(`data:image/png;base64,${'A'.repeat(3000)}`)).toBe('data URI, image/png, 3 kB');
  });

  it('moves with the arrow keys as trees do', () => {
    const state = { a: { b: 1 }, c: 2 };
    const folded = flatten(state, () => false);
    expect(moveInTree('ArrowRight', folded, 0)?.toggle?.pointer).toBe('/a');
    const open = flatten(state, () => true);
    expect(moveInTree('ArrowRight', open, 0)?.to?.pointer).toBe('/a/b');
    expect(moveInTree('ArrowLeft', open, 1)?.to?.pointer).toBe('/a');
    expect(moveInTree('ArrowLeft', open, 0)?.toggle?.pointer).toBe('/a');
    expect(moveInTree('End', open, 0)?.to?.pointer).toBe('/c');
    expect(moveInTree('x', open, 0)).toBeUndefined();
  });
});

describe('The difference of two states', () => {
  it('is empty exactly for equal states, and each new value is in the new state', async () => {
    await fc.assert(
      fc.asyncProperty(someState, someState, async (before, after) => {
        const changes = await differences(before, after);
        expect(changes.length === 0).toBe(isEqual(before, after));
        const news = changes.filter(({ kind }) => kind === 'added' || kind === 'changed');
        expect(news.map(({ pointer }) => valueAt(after, pointer))).toEqual(
          news.map((change) => change.after),
        );
      }),
    );
  });

  it('matches messages by their ids, not by their places', async () => {
    const [one, two, three] = ['1', '2', '3'].map((id) => ({ id, content: `Message ${id}` }));
    const before = { messages: [one, two] };
    const after = { messages: [two, { ...three, content: 'New' }] };
    expect(await differences(before, after)).toEqual([
      { kind: 'removed', pointer: '/messages/0', before: one },
      { kind: 'added', pointer: '/messages/1', after: { id: '3', content: 'New' } },
    ]);
    expect(await differences({ messages: [one, two] }, { messages: [two, one] })).toEqual([
      expect.objectContaining({ kind: 'moved' }),
    ]);
  });
});

describe('The channels of a state', () => {
  it('come at once while they are small, and large ones when a person asks', () => {
    const channels = [
      { name: 'huge', bytes: 5_000_000 },
      { name: 'messages', bytes: 20_000 },
    ];
    expect(chooseChannels(channels).chosen).toEqual(['messages']);
    expect(chooseChannels(channels).withheld).toEqual([channels[0]]);
    expect(chooseChannels(channels, ['huge'])).toEqual({
      chosen: ['messages', 'huge'],
      withheld: [],
    });
  });

  it('come up to a megabyte and a hundred names', () => {
    const many = (count: number, bytes: number) =>
      Array.from({ length: count }, (_, index) => ({ name: `c${index}`, bytes }));
    expect(chooseChannels(many(10, 200_000)).chosen).toHaveLength(5);
    expect(chooseChannels(many(150, 10)).chosen).toHaveLength(100);
  });

  it('are compared by their larger size', () => {
    expect(joinChannels([{ name: 'a', bytes: 1 }], [{ name: 'a', bytes: 9 }])).toEqual([
      { name: 'a', bytes: 9 },
    ]);
  });
});

function countValues(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inner = Object.values(value);
  return inner.reduce((sum: number, each) => sum + countValues(each), inner.length);
}

/** Equal as JSON, in any order of names. */
function isEqual(one: unknown, other: unknown): boolean {
  return sorted(one) === sorted(other);
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_, inner) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
