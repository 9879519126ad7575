import { mkdtemp, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, type BuildOptions } from 'esbuild';
import { Window } from 'happy-dom';
import { afterAll, beforeAll, describe, expect, vi } from 'vitest';
import { WebSocket } from 'ws';
import { randomId, until } from './support/app.ts';
import { it } from './support/fixture.ts';
import { openFragileProxy } from './support/fragile-proxy.ts';
import { operation } from './support/graphql.ts';

const ROOT = path.join(import.meta.dirname, '..');
const LARGEST_BUNDLE_BYTES = 8 * 1024;

const RUNS = operation(`query ($id: ID!) {
  thread(id: $id) { messages { text } runs { totalCount } }
}`);

let folder = '';
const window = new Window();

beforeAll(async () => {
  folder = await mkdtemp(path.join(ROOT, 'test/front-end/generated/react-'));
  // The globals of a page that React and the client read.
  const { document, navigator, HTMLElement, HTMLIFrameElement, FormData } = window;
  const page = { window, document, navigator, HTMLElement, HTMLIFrameElement, FormData, WebSocket };
  for (const [name, value] of Object.entries(page)) vi.stubGlobal(name, value);
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await window.happyDOM.close();
  await rm(folder, { recursive: true });
});

const bundle = (options: BuildOptions) =>
  build({ bundle: true, format: 'esm', jsx: 'automatic', absWorkingDir: ROOT, ...options });

/** Bundles a file with a version of React, as a page does, and loads it. */
async function load(file: string, react: 'react' | 'react-18'): Promise<any> {
  const outfile = path.join(folder, `${path.parse(file).name}-${react}.mjs`);
  const alias = { react, 'react-dom': react.replace('react', 'react-dom') };
  await bundle({ entryPoints: [file], outfile, alias: react === 'react' ? {} : alias });
  return import(/* @vite-ignore */ outfile);
}

function openPage() {
  const element = window.document.createElement('main');
  window.document.body.append(element);
  const find = (selector: string) => element.querySelector(selector);
  return {
    element,
    lines: () => Array.from(element.querySelectorAll('p'), (line) => line.textContent.trim()),
    find,
    say(text: string) {
      (find('input') as unknown as { value: string }).value = text;
      (find('button') as unknown as { click(): void }).click();
    },
  };
}

describe('The chat of docs/building-a-chat.md and the README', () => {
  it('is the one that is tested here', async () => {
    const page = await readFile(path.join(ROOT, 'docs/building-a-chat.md'), 'utf8');
    const [, code] = /^```tsx\n(.*?)^```$/ms.exec(page) ?? [];
    const file = path.join(ROOT, 'test/front-end/building-a-chat.tsx');
    expect(code).toBe(await readFile(file, 'utf8'));
    const readme = await readFile(path.join(ROOT, 'README.md'), 'utf8');
    const [, component = 'No code.'] = /^```tsx\n(.*?)^```$/ms.exec(readme) ?? [];
    expect(code).toContain(component);
  });

  it('asks, shows the answer, and survives a lost connection in the middle of it', async ({
    client,
  }) => {
    await using proxy = await openFragileProxy(client.url);
    const { openChat } = await load('test/front-end/building-a-chat.tsx', 'react');
    const page = openPage();
    const threadId = randomId();
    const root = openChat(page.element, proxy.url, threadId);
    await until(() => page.lines().length === 1 && !page.lines().includes('connecting'));
    const question = Array.from({ length: 40 }, (_, n) => `word${n}`).join(' ');
    proxy.cutBefore('"text":"word30 "');
    page.say(question);
    await until(() => page.lines().includes('reconnecting'));
    expect(page.find('button:nth-of-type(2)')?.textContent).toBe('Stop');
    proxy.mend();
    await until(() => page.find('button:nth-of-type(2)') === null);
    const { thread } = await client.gql(RUNS, { id: threadId });
    const texts = thread?.messages.map(({ text }) => text) ?? [];
    expect(page.lines()).toEqual([`HUMAN: ${question}`, `AI: ${texts[1]}`, '']);
    expect(thread?.runs.totalCount).toBe(1);
    root.unmount();
  });
});

describe.each(['react', 'react-18'] as const)('the hooks with %s', (react) => {
  it('show a thread and a list of threads that changes', async ({ client }) => {
    const { openThreads } = await load('test/front-end/threads.tsx', react);
    const page = openPage();
    const [topic, threadId] = [randomId(), await client.createThread()];
    const root = openThreads(page.element, `${client.url}/graphql`, { topic, threadId });
    expect(page.lines()).toEqual([]);
    await until(() => page.lines().includes('live'));
    await client.createThread({ metadata: { topic } });
    await until(() => page.lines().includes('1 threads'));
    await client.runToEnd({
      threadId,
      assistantId: 'echo',
      input: { messages: [{ role: 'user', content: 'hello' }] },
    });
    await until(() => page.lines().includes('echo: hello'));
    root.unmount();
  });
});

describe('The bundle', () => {
  it('is small without React and graphql-ws, and needs no other package', async () => {
    const { outputFiles, metafile } = await bundle({
      stdin: {
        contents: `export * from './src/client/client.ts'; export * from './src/client/react.ts';`,
        resolveDir: ROOT,
      },
      external: ['react', 'graphql-ws'],
      minify: true,
      write: false,
      metafile: true,
    });
    const [file] = outputFiles ?? [];
    expect(gzipSync(file?.contents ?? '').length).toBeLessThan(LARGEST_BUNDLE_BYTES);
    expect(
      Object.keys(metafile?.inputs ?? {}).filter((name) => name.includes('node_modules')),
    ).toEqual([]);
  });
});
