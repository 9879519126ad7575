import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { randomId, until } from './support/app.ts';
import { browserPath, launchBrowser } from './support/browser.ts';
import { buildPage, linesOf, say, WAIT } from './support/chat-page.ts';
import { it } from './support/fixture.ts';
import { openFragileProxy } from './support/fragile-proxy.ts';
import { operation } from './support/graphql.ts';

const THREAD = operation(`query ($id: ID!) {
  thread(id: $id) { messages { text } runs { totalCount } }
}`);

/** A page with the chat of docs/building-a-chat.md. Its address names the thread. */
const chatPage = () =>
  buildPage(`import { openChat } from './test/front-end/building-a-chat.tsx';
    openChat(document.querySelector('main'), location.origin + '/graphql', location.hash.slice(1));`);

describe.skipIf(!browserPath)('The chat in a browser', { timeout: 90_000 }, () => {
  let browser: Browser;
  let html: string;
  beforeAll(async () => {
    [browser, html] = await Promise.all([launchBrowser(), chatPage()]);
  });
  afterAll(() => browser?.close());

  /** Opens the chat of a thread in tabs that share their storage. */
  async function openTabs(endpoint: string, threadId: string): Promise<() => Promise<Page>> {
    const context = await browser.newContext();
    await context.route('**/chat', (route) =>
      route.fulfill({ contentType: 'text/html', body: html }),
    );
    return async () => {
      const page = await context.newPage();
      await page.goto(new URL(`/chat#${threadId}`, endpoint).href);
      return page;
    };
  }

  it('sends the message of a killed tab when the person opens the chat again, once', async ({
    client,
  }) => {
    await using proxy = await openFragileProxy(client.url);
    const threadId = randomId();
    const open = await openTabs(proxy.url, threadId);
    const killed = await open();
    await expect.poll(() => linesOf(killed), WAIT).toEqual([]);
    proxy.cut();
    await say(killed, 'Hello?');
    await expect.poll(() => linesOf(killed), WAIT).toEqual(['HUMAN: Hello?', 'reconnecting']);
    await killed.close();
    expect(await client.findThread(threadId)).toBeNull();

    proxy.mend();
    const opened = await open();
    await expect.poll(() => linesOf(opened), WAIT).toHaveLength(2);
    expect((await linesOf(opened))[0]).toBe('HUMAN: Hello?');
    await expect.poll(() => opened.evaluate(() => localStorage.length), WAIT).toBe(0);
    const { thread } = await client.gql(THREAD, { id: threadId });
    expect(thread?.runs.totalCount).toBe(1);
  });

  it('shows the whole answer once after a reload in the middle of it', async ({ client }) => {
    const threadId = randomId();
    const open = await openTabs(client.url, threadId);
    const page = await open();
    await expect.poll(() => linesOf(page), WAIT).toEqual([]);
    await say(page, Array.from({ length: 60 }, (_, n) => `word${n}`).join(' '));
    await expect.poll(() => page.locator('main').textContent(), WAIT).toContain('AI:');
    await page.reload();
    const run = await until(async () => {
      const { thread } = await client.gql(THREAD, { id: threadId });
      return thread?.messages.length === 2 ? thread : undefined;
    });
    expect(run.runs.totalCount).toBe(1);
    const [question, answer] = run.messages.map(({ text }) => text);
    await expect
      .poll(() => linesOf(page), WAIT)
      .toEqual([`HUMAN: ${question}`, `AI: ${answer?.trim()}`]);
    await expect.poll(() => page.getByRole('button', { name: 'Stop' }).count(), WAIT).toBe(0);
  });
});
