import { describe, expect } from 'vitest';
import { createWorld, missingWorld, withoutIds, type World } from './support/foreign-world.ts';
import {
  argumentsOf,
  objectFields,
  pathsFrom,
  rootFields,
  nodeTypes,
  selectionOf,
  typeOfField,
  valuesAt,
  type SchemaPath,
} from './support/schema-paths.ts';
import { it as base, type ViewerName, type Viewers } from './support/viewers.ts';

// Each root field of Query and each nested field that reaches an object is read by each kind of viewer. For viewers who may
// not read the object, the answer equals their answer for ids of nothing.

const it = base.extend('world', { scope: 'file' }, ({ viewers }) => createWorld(viewers.alice));
it.override('settings', { auth: 'keys', costLimit: 1_000_000_000, aliasLimit: 1000 });

/** Who may read the object: its owner, or all members of its tenant. */
type Audience = 'owner' | 'tenant';

interface RootCase {
  /** The arguments with the ids of alice. Several: the field is read with each of them. */
  args: (world: World) => object[];
  audience: Audience;
}

const owner = (args: RootCase['args']): RootCase => ({ args, audience: 'owner' });
const tenant = (args: RootCase['args']): RootCase => ({ args, audience: 'tenant' });

const threadFilters = ({ chat, asking, mark }: World) => [
  { ids: [chat, asking] },
  { metadata: { mark } },
  { text: mark },
  { ids: [chat], graphId: 'tokens' },
];
const runFilters = ({ chat, chatRun, askingRun, assistant, mark }: World) => [
  { ids: [chatRun, askingRun] },
  { threadId: chat },
  { assistantId: assistant },
  { graphId: 'tokens', ids: [chatRun] },
  { metadata: { mark } },
];
const filtered = (filters: object[]) => filters.map((filter) => ({ filter }));

/** The root fields of Query that have objects of viewers. */
const ROOTS: Record<string, RootCase> = {
  thread: owner(({ chat, asking }) => [{ id: chat }, { id: asking }]),
  run: owner(({ chatRun, askingRun }) => [{ id: chatRun }, { id: askingRun }]),
  assistant: tenant(({ assistant }) => [{ id: assistant }]),
  interrupt: owner(({ interrupt }) => [{ id: interrupt }]),
  threads: owner((world) => filtered(threadFilters(world))),
  runs: owner((world) => filtered(runFilters(world))),
  assistants: tenant(({ assistant, mark }) =>
    filtered([{ ids: [assistant] }, { metadata: { mark } }, { name: mark }]),
  ),
  pendingInterrupts: owner(({ mark }) => [{ metadata: { mark } }]),
  threadCounts: owner((world) => filtered(threadFilters(world))),
  runCounts: owner((world) => filtered(runFilters(world))),
};

/** `node(id)` for each type of node. */
const NODES: Record<string, RootCase> = {
  Thread: owner(({ chat }) => [{ id: chat }]),
  Run: owner(({ chatRun }) => [{ id: chatRun }]),
  Assistant: tenant(({ assistant }) => [{ id: assistant }]),
};

/** Root fields without objects of viewers: graphs and server are the same for all, and each client is its own viewer. */
const PUBLIC = ['graph', 'graphs', 'server', 'viewer'];

/** Types without objects of their own: parts of an object that the matrix reads. */
const PARTS = new Set([
  'Viewer',
  'Server',
  'ServerLimits',
  // Of langgraph.json.
  'Graph',
  'GraphEdge',
  'GraphNode',
  'Subgraph',
  // Of a list.
  'PageInfo',
  'RunStatusCount',
  'ThreadStatusCount',
  // Of a thread, a run or a message.
  'ContentBlock',
  'RunError',
  'ThreadPreview',
  'TokenUsage',
  'ToolCall',
  'ToolCallChunk',
]);

/** Fields that only subscriptions and mutations return, and the test that reads them. */
const ELSEWHERE: Record<string, string> = {
  'ThreadUpdated.thread': 'access-subscriptions.test.ts',
  'ApiKeyConnection.edges': 'access-mutations.test.ts',
  'ApiKeyConnection.nodes': 'access-mutations.test.ts',
  'ApiKeyEdge.node': 'access-mutations.test.ts',
  'CreatedApiKey.apiKey': 'access-mutations.test.ts',
};

/** Paths go around these fields: `history` has more states than `state`. */
const LEAVES = new Set(['Thread.state', 'Thread.lastRun']);

const PATHS = pathsFrom(Object.keys(ROOTS), { without: PARTS, leaves: LEAVES });

type Case = { name: string; path: Pick<SchemaPath, 'root' | 'steps' | 'type'>; root: RootCase };

const typeOf = (field: string) => typeOfField('Query', field);

const CASES: Case[] = [
  ...Object.entries(ROOTS).map(([field, root]) => ({
    name: `Query.${field}`,
    path: { root: field, steps: [], type: typeOf(field) },
    root,
  })),
  ...nodeTypes().flatMap((type) => {
    const path = { root: 'node', steps: [], type };
    const root = NODES[type.name];
    return root ? [{ name: `node(id) of a ${type.name}`, path, root }] : [];
  }),
  ...Object.entries(ROOTS).flatMap(([field, root]) =>
    PATHS.filter((path) => path.root === field).map((path) => ({ name: path.name, path, root })),
  ),
];

const NAMES: Record<Audience, { readers: ViewerName[]; strangers: ViewerName[] }> = {
  owner: {
    readers: ['reader', 'admin'],
    strangers: ['bob', 'carol', 'otherAdmin', 'otherReader', 'nobody'],
  },
  tenant: {
    readers: ['reader', 'admin', 'bob', 'otherReader'],
    strangers: ['carol', 'otherAdmin', 'nobody'],
  },
};

function documentOf({ path, root }: Case, world: World): string {
  const fragment = path.root === 'node' ? `{ ... on ${path.type.name} ` : '';
  const selection = fragment ? `${fragment}${selectionOf(path)} }` : selectionOf(path);
  const fields = root
    .args(world)
    .map((args, i) => `_${i}: ${path.root}${argumentsOf(args)} ${selection}`);
  return `{ ${fields.join('\n')} }`;
}

const read = async (viewers: Viewers, name: ViewerName, each: Case, world: World) =>
  withoutIds(await viewers[name].request(documentOf(each, world)), world);

describe('The matrix', () => {
  it('has each root field of Query', () => {
    expect([...Object.keys(ROOTS), 'node', 'apiKeys', ...PUBLIC].toSorted()).toEqual(
      rootFields('Query').toSorted(),
    );
    for (const field of PUBLIC) expect([...PARTS]).toContain(typeOf(field).name);
  });

  it('has node(id) of each type of node', () => {
    const types = nodeTypes().map(({ name }) => name);
    expect(Object.keys(NODES).toSorted()).toEqual(types.toSorted());
  });

  it('has a path to each field that reaches an object', () => {
    const covered = [...PATHS.map(({ name }) => name), ...Object.keys(ELSEWHERE)];
    expect(covered.toSorted()).toEqual(objectFields(PARTS).toSorted());
  });
});

describe.for(CASES)('$name', (each) => {
  const { readers, strangers } = NAMES[each.root.audience];

  it('has objects for its owner, and the same for all who may read them', async ({
    viewers,
    world,
  }) => {
    const own = await viewers.alice.gql(documentOf(each, world));
    const values = Object.values(own).flatMap((value) => valuesAt(value, each.path.steps));
    expect(values).not.toEqual([]);
    const expected = await read(viewers, 'alice', each, world);
    for (const name of readers)
      expect(await read(viewers, name, each, world), name).toEqual(expected);
  });

  it('answers a viewer who may not read them as if they did not exist', async ({
    viewers,
    world,
  }) => {
    const nothing = missingWorld();
    for (const name of strangers) {
      const expected = await read(viewers, name, each, nothing);
      expect(await read(viewers, name, each, world), name).toEqual(expected);
    }
  });

  it('refuses clients without valid credentials', async ({ viewers, world }) => {
    for (const name of ['anonymous', 'expired'] as const) {
      const { data, errors } = await viewers[name].request(documentOf(each, world));
      expect(data ?? null, name).toBeNull();
      expect(errors, name).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
    }
  });
});

describe('A list without arguments', () => {
  const lists = {
    threads: 'owner',
    runs: 'owner',
    assistants: 'tenant',
    pendingInterrupts: 'owner',
  } as const;
  const counts = { threadCounts: 'owner', runCounts: 'owner' } as const;

  it.for(Object.entries({ ...lists, ...counts }))(
    '%s has no row and no count of others',
    async ([field, audience], { viewers, world }) => {
      const each = {
        name: field,
        path: { root: field, steps: [], type: typeOf(field) },
        root: { args: () => [{}], audience },
      };
      const rows =
        field in lists ? `{ all: ${field} { totalCount nodes { id } } }` : documentOf(each, world);
      const expected = await viewers.nobody.gql(rows);
      for (const name of NAMES[audience].strangers)
        expect(await viewers[name].gql(rows), name).toEqual(expected);
      expect(await viewers.alice.gql(rows)).not.toEqual(expected);
    },
  );
});
