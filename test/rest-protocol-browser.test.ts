import type { Plugin } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import { browserPath, launchBrowser } from './support/browser.ts';
import { buildPage, linesOf, ROOT, say, WAIT } from './support/chat-page.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';

/** Takes the SDK of this project instead of the earlier one that @langchain/react brings. */
const newestSdk: Plugin = {
  name: 'newest-sdk',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^@langchain\/langgraph-sdk/ }, ({ path: name, resolveDir, kind }) =>
      resolveDir === ROOT ? undefined : resolve(name, { resolveDir: ROOT, kind }),
    );
  },
};

/** A page with the chat of test/front-end/langgraph-chat.jsx. Its address has the options of the chat. */
const chatPage = (plugins: Plugin[]) =>
  buildPage(
    `import { openChat } from './test/front-end/langgraph-chat.jsx';
    const options = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    openChat(document.querySelector('main'), { apiUrl: location.origin, ...options });`,
    plugins,
  );

const questions = (page: Page) => page.getByRole('button', { name: 'Send it?' });

const SDKS: [string, Plugin[]][] = [
  ['its own SDK', []],
  ['the SDK of this project', [newestSdk]],
];

describe.skipIf(!browserPath)('useStream of @langchain/react', { timeout: 120_000 }, () => {
  describe.for(SDKS)('with %s', ([, plugins]) => {
    inBrowser(plugins);
  });
});

function inBrowser(plugins: Plugin[]): void {
  let browser: Browser;
  let html: string;
  beforeAll(async () => {
    [browser, html] = await Promise.all([launchBrowser(), chatPage(plugins)]);
  });
  afterAll(() => browser?.close());

  async function open(url: string, options: object): Promise<Page> {
    const page = await browser.newPage();
    await page.route('**/chat', (route) => route.fulfill({ contentType: 'text/html', body: html }));
    await page.goto(new URL(`/chat#${encodeURIComponent(JSON.stringify(options))}`, url).href);
    return page;
  }

  it('streams tokens, answers a question, and shows the same after a reload', async ({
    client,
  }) => {
    const threadId = randomId();
    const gate = createGate();
    const input = { file: gate.file };
    const page = await open(client.url, { assistantId: 'drafts', threadId, input });
    await say(page, 'Hello');
    // The node has not ended: the message is not in the state.
    await expect.poll(() => linesOf(page), WAIT).toEqual(['human: Hello', 'ai: one two three']);
    await gate.open();
    await expect.poll(() => questions(page).count(), WAIT).toBe(1);
    const drafted = ['human: Hello', 'ai: one two three', 'ai: four five six'];
    expect(await linesOf(page)).toEqual(drafted);

    await page.reload();
    await expect.poll(() => linesOf(page), WAIT).toEqual(drafted);
    await expect.poll(() => questions(page).count(), WAIT).toBe(1);
    await questions(page).click();
    await expect.poll(() => linesOf(page), WAIT).toEqual([...drafted, 'ai: sent: yes']);
    expect(await questions(page).count()).toBe(0);

    await say(page, 'Again');
    await expect.poll(() => questions(page).count(), WAIT).toBe(1);
    await questions(page).click();
    const all = [...drafted, 'ai: sent: yes'];
    const twice = [...all, ...all.with(0, 'human: Again')];
    await expect.poll(() => linesOf(page), WAIT).toEqual(twice);

    await page.reload();
    await expect.poll(() => linesOf(page), WAIT).toEqual(twice);
    const { status } = await client.getThread(threadId);
    expect(status).toBe('IDLE');
    await page.close();
  });

  it('shows a run that another page has started, and its question to both', async ({ client }) => {
    const gate = createGate();
    const options = { assistantId: 'drafts', threadId: randomId(), input: { file: gate.file } };
    const first = await open(client.url, options);
    await say(first, 'Hello');
    const begun = ['human: Hello', 'ai: one two three'];
    await expect.poll(() => linesOf(first), WAIT).toEqual(begun);
    const second = await open(client.url, options);
    await expect.poll(() => linesOf(second), WAIT).toEqual(begun);
    await gate.open();
    const pages = [first, second];
    for (const page of pages) await expect.poll(() => questions(page).count(), WAIT).toBe(1);
    await questions(second).click();
    for (const page of pages) {
      await expect
        .poll(() => linesOf(page), WAIT)
        .toEqual([...begun, 'ai: four five six', 'ai: sent: yes']);
    }
    for (const page of pages) await page.close();
  });
}
