import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { human, randomId, until, type TestApp } from './app.ts';
import { ASSISTANTS, generatedId, THREADS } from './many-rows.ts';

/**
 * Requests every list among many generated rows: each filter, each order, in both directions, from the ends and from the
 * middle.
 */
export async function searchEverything(server: TestApp): Promise<void> {
  await searchThreads(server);
  await searchAssistants(server);
  await searchRuns(server);
  await searchInterrupts(server);
}

/** Sends every operation except the lists. */
export async function useEverything(server: TestApp): Promise<void> {
  await readGenerated(server);
  await useAssistants(server);
  await useApiKeys(server);
  await useThreads(server);
  await useRuns(server);
  await answerQuestions(server);
  await cancel(server);
  await follow(server);
}

type Variables = Record<string, unknown>;

const METADATA = ['all', 'percent', 'five', 'none', 'oldest'].map((name) => ({
  metadata: { [name]: true },
}));
const GRAPHS = [{ graphId: 'echo' }, { graphId: 'gate' }];

type List = (variables: Variables, fields: string) => Promise<any>;

/** The days since the creation and the update of the newest generated thread. */
const THREADS_END = 30 - (THREADS * 10) / 86_400;
const UPDATES_END = 20 - (THREADS * 8) / 86_400;
/** The same for the creation of the newest run. */
const RUNS_END = 3 - (THREADS * 0.9) / 86_400;

const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();

/** Requests the first page, the last page, and the pages on both sides of a row in the middle. */
async function readPages(list: List, { size, middle }: { size: number; middle: string }) {
  const fields = `edges { cursor } pageInfo { hasNextPage }`;
  await Promise.all([
    list({ first: size }, fields),
    list({ last: size }, fields),
    list({ first: size, after: middle }, fields),
    list({ last: size, before: middle }, fields),
  ]);
}

/** Requests a list with each filter in each order, and its total count. */
async function readInEveryOrder(
  list: List,
  { filters, fields, id }: { filters: readonly unknown[]; fields: string[]; id: string },
): Promise<void> {
  for (const field of fields) {
    for (const direction of ['ASC', 'DESC']) {
      const orderBy = { field, direction };
      const one = await list({ filter: { ids: [id] }, orderBy }, 'edges { cursor }');
      const middle: string = one.edges[0].cursor;
      for (const filter of filters) {
        const page: List = (variables, selected) =>
          list({ filter, orderBy, ...variables }, selected);
        await readPages(page, { size: 20, middle });
        if (field === 'CREATED_AT') await readPages(page, { size: 100, middle });
      }
    }
  }
  for (const filter of filters) await list({ filter }, 'totalCount');
}

async function searchThreads({ gql }: TestApp): Promise<void> {
  const list: List = async (variables, fields) =>
    (
      await gql(
        `query ($filter: ThreadFilter, $orderBy: ThreadOrder, $first: Int, $after: String, $last: Int, $before: String) {
          threads(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) { ${fields} }
        }`,
        variables,
      )
    ).threads;
  const ids = [1, 2, 3, THREADS / 2, THREADS].map(generatedId.thread);
  const filters = [
    null,
    ...METADATA,
    ...GRAPHS,
    { ids },
    { ids, metadata: { all: true } },
    { status: ['IDLE'] },
    { status: ['ERROR'] },
    { status: ['BUSY'] },
    { status: ['IDLE', 'INTERRUPTED'] },
    { status: ['ERROR'], graphId: 'echo', metadata: { percent: true } },
    { status: ['IDLE'], graphId: 'echo', metadata: { five: true } },
    { text: 'conversation 199' },
    { text: 'conversation' },
    { text: 'nobody' },
    { createdAfter: daysAgo(THREADS_END + 0.001) },
    { createdBefore: daysAgo(29.999), status: ['IDLE'] },
    { updatedAfter: daysAgo(UPDATES_END + 0.001) },
    { updatedBefore: daysAgo(19.999) },
  ];
  const fields = ['ID', 'STATUS', 'CREATED_AT', 'UPDATED_AT', 'STATE_UPDATED_AT'];
  const id = generatedId.thread(THREADS / 2);
  await readInEveryOrder(list, { filters, fields, id });
  // Half of the threads, in the order of the same time.
  const halves = [
    ['CREATED_AT', { createdAfter: daysAgo((30 + THREADS_END) / 2) }],
    ['CREATED_AT', { createdBefore: daysAgo((30 + THREADS_END) / 2) }],
    ['CREATED_AT', { updatedBefore: daysAgo((20 + UPDATES_END) / 2) }],
    ['UPDATED_AT', { updatedAfter: daysAgo((20 + UPDATES_END) / 2) }],
    ['UPDATED_AT', { updatedBefore: daysAgo((20 + UPDATES_END) / 2) }],
    ['UPDATED_AT', { createdAfter: daysAgo((30 + THREADS_END) / 2) }],
  ] as const;
  for (const [field, filter] of halves)
    await readInEveryOrder(list, { filters: [filter], fields: [field], id });
  const lists = 'nodes { preview { title lastText } lastRun { id usage { totalTokens } } }';
  await list({ first: 100 }, lists);
  for (const filter of filters)
    await gql(`query ($filter: ThreadFilter) { threadCounts(filter: $filter) { status count } }`, {
      filter,
    });
}

async function searchAssistants({ gql }: TestApp): Promise<void> {
  const list: List = async (variables, fields) =>
    (
      await gql(
        `query ($filter: AssistantFilter, $orderBy: AssistantOrder, $first: Int, $after: String, $last: Int, $before: String) {
          assistants(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) { ${fields} }
        }`,
        variables,
      )
    ).assistants;
  const ids = [1, 2, ASSISTANTS / 2].map(generatedId.assistant);
  const filters = [
    null,
    ...METADATA,
    ...GRAPHS,
    { ids },
    { name: 'assistant' },
    { name: 'ant 777' },
    { name: 'nobody' },
  ];
  const fields = ['ID', 'NAME', 'GRAPH_ID', 'CREATED_AT', 'UPDATED_AT'];
  await readInEveryOrder(list, { filters, fields, id: generatedId.assistant(ASSISTANTS / 2) });
}

async function searchRuns({ gql }: TestApp): Promise<void> {
  const list: List = async (variables, fields) =>
    (
      await gql(
        `query ($filter: RunFilter, $orderBy: RunOrder, $first: Int, $after: String, $last: Int, $before: String) {
          runs(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) { ${fields} }
        }`,
        variables,
      )
    ).runs;
  const ids = [1, 2, THREADS / 2].map(generatedId.run);
  const filters = [
    null,
    ...METADATA,
    { ids },
    { threadId: generatedId.thread(5) },
    { threadId: randomId() },
    // Assistant 1 has half of the runs, assistant 3 has 200, and assistant 2 has none.
    { assistantId: generatedId.assistant(1) },
    { assistantId: generatedId.assistant(3) },
    { assistantId: generatedId.assistant(2) },
    { graphId: 'echo' },
    { graphId: 'missing' },
    { graphId: 'echo', status: ['ERROR'] },
    { status: ['SUCCESS'] },
    { status: ['ERROR'] },
    { status: ['TIMEOUT'] },
    { status: ['PENDING', 'RUNNING'] },
    { status: ['ERROR'], assistantId: generatedId.assistant(3) },
    { status: ['ERROR'], assistantId: generatedId.assistant(1) },
    { metadata: { percent: true }, assistantId: generatedId.assistant(1) },
    { threadId: generatedId.thread(5), status: ['ERROR'], metadata: { all: true } },
    { createdAfter: daysAgo(RUNS_END + 0.001) },
    { createdBefore: daysAgo(2.999), status: ['SUCCESS'] },
    { finishedAfter: daysAgo(1), finishedBefore: daysAgo(0) },
    { finishedBefore: daysAgo(1.5) },
  ];
  // Half of the runs, in the order of their creation.
  const half = daysAgo((3 + RUNS_END) / 2);
  const halves = [
    { createdAfter: half },
    { createdBefore: half },
    { createdBefore: half, status: ['ERROR'] },
  ];
  for (const field of ['CREATED_AT', 'FINISHED_AT']) {
    for (const direction of ['ASC', 'DESC']) {
      const orderBy = { field, direction };
      const one = { filter: { ids: [generatedId.run(THREADS / 2)] }, orderBy };
      const middle = (await list(one, 'edges { cursor }')).edges[0].cursor;
      for (const filter of [...filters, ...(field === 'CREATED_AT' ? halves : [])]) {
        const page: List = (variables, fields) => list({ filter, orderBy, ...variables }, fields);
        for (const size of [20, 100]) await readPages(page, { size, middle });
      }
    }
  }
  for (const filter of [...filters, ...halves]) {
    await list({ filter }, 'totalCount');
    await gql(`query ($filter: RunFilter) { runCounts(filter: $filter) { status count } }`, {
      filter,
    });
  }
}

async function searchInterrupts({ gql }: TestApp): Promise<void> {
  const document = (fields: string) =>
    `query ($graphId: ID, $metadata: JSONObject, $first: Int, $after: String) {
      pendingInterrupts(graphId: $graphId, metadata: $metadata, first: $first, after: $after) { ${fields} }
    }`;
  const filters: Variables[] = [
    {},
    ...METADATA,
    ...GRAPHS,
    { graphId: 'echo', metadata: { percent: true } },
  ];
  let after: string | undefined;
  for (const filter of filters) {
    const { pendingInterrupts } = await gql(
      document(`edges { cursor node { id thread { id status } run { id } } }`),
      filter,
    );
    after ??= pendingInterrupts.edges.at(-1).cursor;
    await gql(document('edges { cursor }'), { ...filter, first: 100, after });
    await gql(document('totalCount'), filter);
  }
}

/** Reads the fields of generated rows. None of these fields needs a state. */
async function readGenerated({ gql }: TestApp): Promise<void> {
  const id = generatedId.thread(THREADS / 2 + 3);
  const runs = `edges { cursor node { id status events { nodes { id } } assistant { id graph { id } } thread { id } interrupts { id } } }`;
  await gql(
    `query ($id: ID!) {
      thread(id: $id) {
        id storageBytes storage { values { bytes } } config interrupts { id value } preview { title } lastRun { id durationMs usage { totalTokens } }
        runs { totalCount ${runs} } some: runs(status: [ERROR, SUCCESS]) { totalCount ${runs} }
      }
    }`,
    { id },
  );
  for (const node of [id, generatedId.run(5), generatedId.assistant(5), randomId()]) {
    await gql(`query ($id: ID!) { node(id: $id) { __typename id } }`, { id: node });
  }
}

async function useAssistants({ gql }: TestApp): Promise<void> {
  await gql(
    `{ graphs { id } graph(id: "echo") { id nodes(depth: 1) { name } subgraphs { namespace } } }`,
  );
  const create = `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { id version } }`;
  const input = { graphId: 'echo', name: 'Mine', metadata: { mine: true } };
  const { id } = (await gql(create, { input })).createAssistant;
  await gql(create, { input: { ...input, id, ifExists: 'DO_NOTHING' } });
  await gql(
    `mutation ($id: ID!) {
      updateAssistant(id: $id, input: { name: "Ours", metadata: { ours: true } }) { id }
      setAssistantVersion(id: $id, version: 1) { id }
    }`,
    { id },
  );
  await gql(
    `query ($id: ID!) { assistant(id: $id) { id graph { id } versions(first: 1) { edges { cursor node { version } } } } }`,
    { id },
  );
  await gql(`query { assistant(id: "echo") { id } }`);
  await gql(`mutation ($id: ID!) { deleteAssistant(id: $id) }`, { id });
}

const CHECKPOINT = `checkpointId namespace values metadata next ran messages(last: 2) { text }
  tasks { name interrupts { id } state { checkpointId } } interrupts { id } run { id } thread { id } writes
  parent { checkpointId } children { checkpointId } channels { name bytes }`;

const THREAD = `id values messages(last: 2) { text } interrupts { id } storageBytes
  state { ${CHECKPOINT} } history(first: 3) { totalCount edges { cursor node { ${CHECKPOINT} } } }`;

async function createThread({ gql }: TestApp, input: Variables = {}): Promise<string> {
  const { createThread } = await gql(
    `mutation ($input: CreateThreadInput) { createThread(input: $input) { id } }`,
    { input },
  );
  return createThread.id;
}

async function createRun({ gql }: TestApp, input: Variables, wait = true): Promise<any> {
  const { createRun } = await gql(
    `mutation ($input: CreateRunInput!, $wait: Boolean!) {
      createRun(input: $input, wait: $wait) { id status output thread { id } interrupts { id } }
    }`,
    { input, wait },
  );
  return createRun;
}

async function useApiKeys({ gql }: TestApp): Promise<void> {
  const { createApiKey } = await gql(
    `mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { apiKey { id } } }`,
    { input: { name: 'key', owner: 'alice', roles: ['MEMBER'] } },
  );
  const { apiKeys } = await gql(
    `query { viewer { tenant } server { version } apiKeys { edges { cursor } } }`,
  );
  await gql(`query ($after: String) { apiKeys(after: $after) { nodes { id } } }`, {
    after: apiKeys.edges[0].cursor,
  });
  await gql(`mutation ($id: ID!) { revokeApiKey(id: $id) { id } }`, {
    id: createApiKey.apiKey.id,
  });
}

async function useThreads(server: TestApp): Promise<void> {
  const { gql } = server;
  const supersteps = [
    { updates: [{ asNode: '__input__', values: human('hi') }] },
    { updates: [{ asNode: 'echo', values: { messages: [{ role: 'ai', content: 'ho' }] } }] },
  ];
  const id = await createThread(server, { graphId: 'echo', supersteps, metadata: { mine: true } });
  await createThread(server, { id, ifExists: 'DO_NOTHING' });
  for (let turn = 0; turn < 3; turn++) {
    await createRun(server, { threadId: id, assistantId: 'echo', input: human(`turn ${turn}`) });
  }
  const { thread } = await gql(`query ($id: ID!) { thread(id: $id) { ${THREAD} } }`, { id });
  const [, { cursor, node }] = thread.history.edges;
  const filters = [
    { source: ['LOOP', 'INPUT'] },
    { step: 1 },
    { runId: node.run.id },
    { metadata: { source: 'loop' } },
  ];
  for (const filter of [null, ...filters]) {
    for (const args of [{}, { after: cursor }, { olderThan: node.checkpointId }]) {
      await gql(
        `query ($id: ID!, $filter: CheckpointFilter, $after: String, $olderThan: ID) {
          thread(id: $id) { history(filter: $filter, after: $after, olderThan: $olderThan) { totalCount nodes { checkpointId } } }
        }`,
        { id, filter, ...args },
      );
    }
  }
  await gql(
    `query ($id: ID!, $checkpointId: ID) { thread(id: $id) { state(checkpointId: $checkpointId) { ${CHECKPOINT} } } }`,
    { id, checkpointId: node.checkpointId },
  );
  await gql(
    `mutation ($id: ID!, $checkpointId: ID) {
      updateThread(id: $id, input: { metadata: { more: true } }) { id }
      updateThreadState(id: $id, input: { values: null, asNode: "__copy__" }) { ${CHECKPOINT} }
      fork: updateThreadState(id: $id, input: { checkpointId: $checkpointId, asNode: "echo", values: { messages: [] } }) { checkpointId }
      copyThread(id: $id) { ${THREAD} }
      branch: copyThread(id: $id, checkpointId: $checkpointId) { ${THREAD} }
    }`,
    { id, checkpointId: node.checkpointId },
  );
  await createRun(server, { threadId: id, assistantId: 'echo', checkpointId: node.checkpointId });
  await gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id });
  const filter = { metadata: { bulk: randomId() } };
  await createThread(server, filter);
  await gql(
    `mutation ($filter: ThreadFilter!) {
      updateThreads(selection: { filter: $filter }, input: { metadata: { more: true } }) { id }
      pruneThreads(selection: { filter: $filter }) { id }
      deleteThreads(selection: { filter: $filter })
      again: deleteThreads(selection: { ids: ["${id}"] })
    }`,
    { filter },
  );
}

async function useRuns(server: TestApp): Promise<void> {
  const { gql } = server;
  const input = human('hi');
  const threadId = await createThread(server);
  const keyed = { threadId, assistantId: 'echo', input, idempotencyKey: randomId() };
  const { id } = await createRun(server, keyed);
  await createRun(server, keyed);
  await createRun(server, { assistantId: 'echo', input });
  await createRun(server, { assistantId: 'echo', input, onCompletion: 'KEEP' });
  await createRun(server, {
    threadId: randomId(),
    ifThreadMissing: 'CREATE',
    assistantId: 'nested',
    input: {},
    streamModes: ['VALUES', 'UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'],
    streamSubgraphs: true,
  });
  await gql(`mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`, {
    inputs: [0, 1].map(() => ({ assistantId: 'echo', input })),
  });
  const events = `edges { cursor node { __typename id ... on RunFinishedEvent { run { id output } } } }`;
  const { run } = await gql(
    `query ($id: ID!) { run(id: $id) { id output usage { totalTokens } thread { id } assistant { id } interrupts { id } events(first: 1) { ${events} } } }`,
    { id },
  );
  for (const modes of [null, ['UPDATES']]) {
    await gql(
      `query ($id: ID!, $after: String, $modes: [StreamMode!]) { run(id: $id) { events(after: $after, modes: $modes) { ${events} } } }`,
      { id, after: run.events.edges[0].cursor, modes },
    );
  }
  await gql(`mutation ($id: ID!) { deleteRun(id: $id) }`, { id });
  const other = await createRun(server, { threadId, assistantId: 'echo', input });
  await gql(`mutation ($id: ID!) { deleteRun(id: $id) }`, { id: other.id });
}

async function answerQuestions(server: TestApp): Promise<void> {
  const { gql } = server;
  const threadId = await createThread(server);
  const [question] = (await createRun(server, { threadId, assistantId: 'ask', input: {} }))
    .interrupts;
  await gql(`query ($id: ID!) { thread(id: $id) { ${THREAD} } }`, { id: threadId });
  await gql(`mutation ($id: ID!) { copyThread(id: $id) { id interrupts { id } } }`, {
    id: threadId,
  });
  await gql(`query ($id: ID!) { interrupt(id: $id) { id isPending } }`, { id: question.id });
  const resume = [{ interruptId: question.id, value: 'yes' }];
  await createRun(server, { threadId, assistantId: 'ask', command: { resume } });
}

/** Operations that stop runs, and the multitask strategies on a busy thread. */
async function cancel(server: TestApp): Promise<void> {
  const { gql } = server;
  const folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-plans-'));
  const hold = { assistantId: 'gate', input: { file: path.join(folder, 'open') } };
  const statusOf = async (id: string) =>
    (await gql(`query ($id: ID!) { run(id: $id) { status } }`, { id })).run?.status;
  const begin = async (threadId: string) => {
    const { id } = await createRun(server, { threadId, ...hold }, false);
    await until(async () => (await statusOf(id)) === 'RUNNING');
    return id as string;
  };
  try {
    for (const multitaskStrategy of ['INTERRUPT', 'ROLLBACK']) {
      const threadId = await createThread(server);
      await begin(threadId);
      await createRun(server, {
        threadId,
        assistantId: 'echo',
        input: human('instead'),
        multitaskStrategy,
      });
    }
    for (const action of ['KEEP', 'ROLLBACK']) {
      const threadId = await createThread(server);
      const [first, second] = [
        await begin(threadId),
        (await createRun(server, { threadId, ...hold }, false)).id,
      ];
      for (const id of [second, first]) {
        await gql(
          `mutation ($id: ID!, $action: CancelAction!) { cancelRun(id: $id, action: $action, wait: true) { id status } }`,
          { id, action },
        );
      }
    }
    const threadId = await createThread(server);
    const mine = randomId();
    await createRun(server, { threadId, ...hold, metadata: { mine } }, false);
    const filters = [
      { metadata: { none: true } },
      { assistantId: 'echo' },
      { threadId: randomId() },
      { ids: [generatedId.run(5)] },
      { status: ['SUCCESS'] },
      { metadata: { mine } },
    ];
    for (const filter of filters) {
      await gql(`mutation ($filter: RunFilter!) { cancelRuns(filter: $filter) { id } }`, {
        filter,
      });
    }
    const deleted = await createThread(server);
    await begin(deleted);
    await gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id: deleted });
    await writeFile(hold.input.file, '');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const RUN_EVENTS = `subscription ($runId: ID!, $after: ID, $modes: [StreamMode!]) {
  runEvents(runId: $runId, after: $after, modes: $modes) {
    __typename id ... on InterruptEvent { interrupts { id } } ... on CheckpointsEvent { checkpoint { checkpointId } }
    ... on RunFinishedEvent { run { id } }
  }
}`;

async function follow(server: TestApp): Promise<void> {
  const threadId = await createThread(server);
  const any = server.subscribe(`subscription { threadChanged { id status } }`);
  const one = server.subscribe(`subscription ($ids: [ID!]) { threadChanged(ids: $ids) { id } }`, {
    ids: [threadId, generatedId.thread(1)],
  });
  const thread = server.subscribe(
    `subscription ($threadId: ID!) { threadEvents(threadId: $threadId) { __typename id } }`,
    { threadId },
  );
  const matching = server.subscribe(
    `subscription ($filter: ThreadFilter) {
      threadChanges(filter: $filter) {
        ... on ThreadUpdated { thread { id eventCursor } }
        ... on ThreadRemoved { threadId reason }
      }
    }`,
    { filter: { ids: [threadId], status: ['BUSY'] } },
  );
  const changes = any.next();
  const matches = matching.next();
  await one.next();
  const news = thread.next();
  // The server polls once a second. This finds events without a notification.
  await createRun(server, { threadId, assistantId: 'slow', input: { ms: 2500 } });
  await Promise.all([changes, matches, news]);

  const streamModes = ['VALUES', 'UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'];
  const run = await createRun(
    server,
    { threadId, assistantId: 'ask', input: {}, streamModes },
    false,
  );
  const live = await all(server.subscribe(RUN_EVENTS, { runId: run.id }));
  const after = live[1].runEvents.id;
  for (const modes of [null, ['UPDATES']]) {
    await all(server.subscribe(RUN_EVENTS, { runId: run.id, after, modes }));
  }
  await all(server.subscribe(RUN_EVENTS, { runId: generatedId.run(5) }));
  const stream = { assistantId: 'echo', input: human('hi'), idempotencyKey: randomId() };
  await all(
    server.subscribe(
      `subscription ($input: CreateRunInput!) { streamRun(input: $input) { __typename id } }`,
      { input: stream },
    ),
  );
  // The events of this run are deleted.
  await all(server.subscribe(RUN_EVENTS, { runId: generatedId.run(100) }));
  for (const subscription of [any, one, thread]) await subscription.return?.();
}

/** Returns all answers of a subscription. */
async function all(events: AsyncIterable<any>): Promise<any[]> {
  const seen: any[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}
