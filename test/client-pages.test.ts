import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import {
  buildSchema,
  graphql,
  introspectionFromSchema,
  isAbstractType,
  parse,
  print,
  subscribe,
} from 'graphql';
import { afterAll, beforeAll, describe, expect, vi } from 'vitest';
import { WebSocket } from 'ws';
import { human, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { openFragileProxy } from './support/fragile-proxy.ts';
import { createGate } from './support/gates.ts';
import { idsOf } from './support/graphql.ts';
import { collect, FIRST_HALF, textOf, untilReaders, WHOLE } from './support/streams.ts';

// Each page of docs/clients/ is code for one library. The tests write it into a folder, check its types and run it.

const ROOT = path.join(import.meta.dirname, '..');
const PAGES = ['apollo', 'urql', 'gql-tada', 'graphql-sse', 'stitching', 'relay', 'codegen'];

const CONVERSATION = `query Conversation($id: ID!) {
  thread(id: $id) {
    id status updatedAt metadata
    messages { messageId type text toolCalls { name } usage { totalTokens } }
    state { threadId namespace checkpointId values tasks { name } messages { text } }
    runs(first: 5) { nodes { id status error { message } } }
  }
}`;
const FOLLOW = `subscription Follow($runId: ID!) {
  runEvents(runId: $runId) { __typename id ... on MessagesEvent { isChunk message { messageId text } } }
}`;

let folder = '';

// Browsers have this global, and Node from version 22.
beforeAll(async () => {
  vi.stubGlobal('WebSocket', WebSocket);
  folder = await mkdtemp(path.join(ROOT, 'test/front-end/generated/pages-'));
  for (const page of PAGES) await writePage(page);
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await rm(folder, { recursive: true });
});

const at = (...names: string[]) => path.join(folder, ...names);

/** Writes the module of a page, and its JSON, into a folder of the page beside the schema. */
async function writePage(page: string): Promise<void> {
  const text = await readFile(path.join(ROOT, `docs/clients/${page}.md`), 'utf8');
  await mkdir(at(page, 'src'), { recursive: true });
  await cp(path.join(ROOT, 'schema.graphql'), at(page, 'schema.graphql'));
  for (const [, language, code = ''] of text.matchAll(/^```(ts|json)\n(.*?)^```$/gms)) {
    await writeFile(at(page, `${page}.${language}`), code);
  }
}

/** Loads a module or a package. The page of a package may be read without it, so the other tests do not depend on it. */
const load = (specifier: string): Promise<any> => import(/* @vite-ignore */ specifier);

const run = promisify(execFile);

/** Runs the command of a package. */
async function runCommand(name: string, args: string[], cwd: string): Promise<void> {
  const command = path.join(ROOT, 'node_modules/.bin', name);
  await run(command, args, { cwd }).catch(
    ({ stdout, stderr }: { stdout: string; stderr: string }) => expect.fail(stdout + stderr),
  );
}

/** Checks the types of a page, and of the files that it generates. */
async function checkTypes(page: string): Promise<void> {
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2023', 'dom', 'esnext.disposable'],
    module: 'esnext',
    moduleResolution: 'bundler',
    allowImportingTsExtensions: true,
    strict: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: true,
    noEmit: true,
    types: ['node'],
  };
  await writeFile(at(page, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
  await run(tsc, ['--project', at(page)]).catch(({ stdout }: { stdout: string }) =>
    expect.fail(stdout),
  );
}

const endpointOf = ({ url }: Client) => `${url}/graphql`;

/** A thread with a conversation, and its run. */
async function converse(client: Client) {
  const threadId = await client.createThread({ metadata: { owner: 'Ada' } });
  const { id: runId } = await client.startRun({
    threadId,
    assistantId: 'echo',
    input: human('hello'),
  });
  await client.follow(runId);
  return { threadId, runId };
}

describe('docs/clients/apollo.md', () => {
  it('names the types of each interface and union', async () => {
    const schema = buildSchema(await readFile(at('apollo/schema.graphql'), 'utf8'));
    const code = await readFile(at('apollo/apollo.ts'), 'utf8');
    for (const type of Object.values(schema.getTypeMap()).filter(isAbstractType)) {
      const names = schema.getPossibleTypes(type).map(({ name }) => `'${name}'`);
      const [, named = ''] = new RegExp(`${type.name}: \\[(.*?)\\]`, 's').exec(code) ?? [];
      expect(named.match(/'\w+'/g)?.toSorted()).toEqual(names.toSorted());
    }
  });

  it('has a cache that knows checkpoints, adds pages, and keeps no chunks', async ({ client }) => {
    await checkTypes('apollo');
    const { createApollo } = await load(at('apollo/apollo.ts'));
    const apollo = createApollo(endpointOf(client));
    const first = await converse(client);
    const { threadId, runId } = await converse(client);

    const query = parse(CONVERSATION);
    const { data } = await apollo.query({ query, variables: { id: threadId } });
    const { checkpointId } = data.thread.state;
    expect(Object.keys(apollo.cache.extract())).toContain(
      `Checkpoint:${threadId}::${checkpointId}`,
    );
    // Without the fields of its key, a checkpoint is a part of its thread.
    const part = parse('query ($id: ID!) { thread(id: $id) { id state { step } } }');
    await apollo.query({ query: part, variables: { id: first.threadId } });

    const pages = parse(`query ($after: String) {
      threads(first: 1, after: $after) { edges { cursor node { id } } pageInfo { endCursor hasNextPage } }
    }`);
    const watched = apollo.watchQuery({ query: pages });
    const watching = watched.subscribe({});
    const page = () => watched.getCurrentResult().data?.threads;
    const { endCursor } = (await until(() => page()?.pageInfo)) as { endCursor: string };
    await watched.fetchMore({ variables: { after: endCursor } });
    await until(() => page().edges.length === 2);
    watching.unsubscribe();

    const seen: string[] = [];
    await new Promise<void>((complete, error) => {
      const options = { query: parse(FOLLOW), variables: { runId }, fetchPolicy: 'no-cache' };
      const next = (result: any) => void seen.push(result.data.runEvents.__typename);
      apollo.subscribe(options).subscribe({ next, error, complete });
    });
    expect(seen.at(-1)).toBe('RunFinishedEvent');
    expect(Object.keys(apollo.cache.extract()).filter((key) => key.includes('Event'))).toEqual([]);
    apollo.stop();
  });
});

describe('docs/clients/urql.md', () => {
  it('has a cache without warnings, with pages, deletions and events', async ({ client }) => {
    await checkTypes('urql');
    const warnings = vi.spyOn(console, 'warn');
    const { createUrql } = await load(at('urql/urql.ts'));
    const sdl = await readFile(at('urql/schema.graphql'), 'utf8');
    const urql = createUrql(endpointOf(client), introspectionFromSchema(buildSchema(sdl)));
    const { threadId, runId } = await converse(client);

    const show = () => urql.query(CONVERSATION, { id: threadId }).toPromise();
    expect((await show()).data.thread.messages).toHaveLength(2);
    const pages = `query ($after: String) {
      threads(first: 1, after: $after) { edges { cursor node { id } } pageInfo { endCursor hasNextPage } }
    }`;
    const { data } = await urql.query(pages, {}).toPromise();
    const after = data.threads.pageInfo.endCursor;
    const second = await urql.query(pages, { after }).toPromise();
    expect(second.data.threads.edges).toHaveLength(2);

    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      urql.subscription(FOLLOW, { runId }).subscribe((result: any) => {
        if (result.hasNext) seen.push(result.data.runEvents.__typename);
        else resolve();
      });
    });
    expect(seen.at(-1)).toBe('RunFinishedEvent');

    await urql
      .mutation(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id: threadId })
      .toPromise();
    expect((await show()).data.thread).toBeNull();
    expect(warnings.mock.calls).toEqual([]);
  });
});

describe('docs/clients/graphql-sse.md', () => {
  it('follows a run through a broken connection, with each event once', async ({
    client,
    server,
  }) => {
    await checkTypes('graphql-sse');
    const { follow } = await load(at('graphql-sse/graphql-sse.ts'));
    await using proxy = await openFragileProxy(client.url);
    const gate = createGate();
    const { id } = await client.startRun({ assistantId: 'halves', input: { file: gate.file } });
    const { seen, ended } = collect<any>(follow(proxy.url, id));
    await until(() => textOf(seen) === FIRST_HALF);
    proxy.cut();
    await untilReaders(server, 0);
    proxy.mend();
    await untilReaders(server, 1);
    await gate.open();
    await ended;
    expect(textOf(seen)).toBe(WHOLE);
    expect(idsOf(seen)).toEqual(idsOf(await client.follow(id)));
  });
});

describe('docs/clients/gql-tada.md', () => {
  it('types documents and scalars, from the output of its command', async ({ client }) => {
    const plugins = JSON.parse(await readFile(at('gql-tada/gql-tada.json'), 'utf8'));
    await writeFile(at('gql-tada/tsconfig.json'), JSON.stringify({ compilerOptions: plugins }));
    await cp(
      path.join(ROOT, 'test/front-end/generated/schema.d.ts'),
      at('gql-tada/generated/schema.d.ts'),
    );
    await checkTypes('gql-tada');
    const { readConversation } = await load(at('gql-tada/gql-tada.ts'));
    const { threadId } = await converse(client);
    expect(await readConversation(endpointOf(client), threadId)).toMatchObject({
      id: threadId,
      metadata: { owner: 'Ada' },
      messages: [{ text: 'hello' }, { text: 'echo: hello' }],
    });
  });
});

describe('docs/clients/stitching.md', () => {
  it('serves threads with a field of another system, and their events', async ({ client }) => {
    await checkTypes('stitching');
    const { createGateway } = await load(at('stitching/stitching.ts'));
    const schema = await createGateway(endpointOf(client));
    const { threadId: id, runId } = await converse(client);
    const source = `query ($id: ID!) { thread(id: $id) { id owner messages { text } } }`;
    expect(await graphql({ schema, source, variableValues: { id } })).toMatchObject({
      data: {
        thread: { id, owner: 'Ada', messages: [{ text: 'hello' }, { text: 'echo: hello' }] },
      },
    });
    const answers: any = await subscribe({
      schema,
      document: parse(FOLLOW),
      variableValues: { runId },
    });
    const seen: string[] = [];
    for await (const { data } of answers) seen.push(data.runEvents.id);
    expect(seen).toEqual(idsOf(await client.follow(runId)));
  });
});

describe('docs/clients/relay.md', () => {
  const SOURCE = `import { graphql } from 'relay-runtime';
    export const conversation = graphql\`
      query conversationQuery($id: ID!, $count: Int!) {
        thread(id: $id) { id updatedAt messages { text } ...conversation_thread @arguments(count: $count) }
      }\`;
    export const thread = graphql\`
      fragment conversation_thread on Thread
      @refetchable(queryName: "conversationRefetchQuery")
      @argumentDefinitions(count: { type: "Int!" }, cursor: { type: "String" }) {
        runs(first: $count, after: $cursor) @connection(key: "conversation_runs") { edges { node { status } } }
      }\`;
    export const follow = graphql\`
      subscription conversationSubscription($runId: ID!) {
        runEvents(runId: $runId) { __typename id ... on MessagesEvent { message { text } } }
      }\`;`;

  it('compiles connections and fragments, and reads and follows with its network', async ({
    client,
  }) => {
    await cp(at('relay/relay.json'), at('relay/relay.config.json'));
    await cp(at('relay/relay.ts'), at('relay/src/environment.ts'));
    await writeFile(at('relay/src/conversation.ts'), SOURCE);
    await runCommand('relay-compiler', [], at('relay'));
    await checkTypes('relay');

    const artifact = async (name: string) =>
      (await load(at(`relay/src/__generated__/${name}.graphql.ts`))).default;
    const { createEnvironment } = await load(at('relay/src/environment.ts'));
    const { fetchQuery, requestSubscription } = await load('relay-runtime');
    const environment = createEnvironment(endpointOf(client));
    const { threadId, runId } = await converse(client);
    const variables = { id: threadId, count: 5 };
    const query = await artifact('conversationQuery');
    const { thread } = await fetchQuery(environment, query, variables).toPromise();
    expect(thread.messages).toEqual([{ text: 'hello' }, { text: 'echo: hello' }]);
    expect(environment.getStore().getSource().get(runId)).toMatchObject({ status: 'SUCCESS' });

    const seen: string[] = [];
    const subscription = await artifact('conversationSubscription');
    await new Promise<void>((onCompleted, onError) => {
      const onNext = (data: any) => void seen.push(data.runEvents.__typename);
      const config = { subscription, variables: { runId }, onNext, onCompleted, onError };
      requestSubscription(environment, config);
    });
    expect(seen.at(-1)).toBe('RunFinishedEvent');
  });
});

describe('docs/clients/codegen.md', () => {
  const SOURCE = `import type { ResultOf } from '@graphql-typed-document-node/core';
    import { graphql } from './gql';
    export const Conversation = graphql(\`
      query Conversation($id: ID!) { thread(id: $id) { id status updatedAt metadata } }\`);
    type Thread = NonNullable<ResultOf<typeof Conversation>['thread']>;
    export const show = ({ status, updatedAt, metadata }: Thread): string => {
      const exact: 'BUSY' | 'ERROR' | 'IDLE' | 'INTERRUPTED' = status;
      // @ts-expect-error -- a value of free metadata has no known type
      const owner: string = metadata['owner'];
      return exact + updatedAt.slice(0, 10) + owner;
    };`;

  it('types scalars and enums, and makes documents that the server takes', async ({ client }) => {
    await writeFile(at('codegen/src/conversation.ts'), SOURCE);
    await runCommand('graphql-codegen', ['--config', 'codegen.ts'], at('codegen'));
    await checkTypes('codegen');
    const { Conversation } = await load(at('codegen/src/conversation.ts'));
    const { threadId: id } = await converse(client);
    expect(await client.gql(print(Conversation), { id })).toMatchObject({ thread: { id } });
  });
});
