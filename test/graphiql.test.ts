import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { graphiqlTabs } from '../src/graphql/graphiql-examples.ts';
import { createTestApp, type TestApp } from './support/app.ts';
import { browserPath, launchBrowser } from './support/browser.ts';
import { createViewer } from './support/viewers.ts';

async function disposable(starting: Promise<TestApp>) {
  const server = await starting;
  return { server, [Symbol.asyncDispose]: () => server.stop() };
}

describe.skipIf(!browserPath)('GraphiQL', () => {
  let server: TestApp;
  let browser: Browser;
  let page: Page;
  const requested: string[] = [];
  const problems: string[] = [];

  beforeAll(async () => {
    const graphsFile = path.join(import.meta.dirname, '../langgraph.json');
    server = await createTestApp({ graphsFile });
    browser = await launchBrowser();
    page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    page.on('request', (request) => requested.push(request.url()));
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (line) => line.type() === 'error' && problems.push(line.text()));
    page.on('websocket', (socket) => requested.push(socket.url()));
    await page.goto(`${server.url}/graphql`);
    await page.waitForSelector('.graphiql-tabs');
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** Opens a tab, runs its document, and waits for an answer with `text`. */
  async function run(tab: string, text: string): Promise<string> {
    await page.getByRole('button', { name: tab, exact: true }).click();
    // GraphiQL shows a tab's document before it reads it, and runs the document that it has read.
    const isRead = (name: string) => localStorage.getItem('graphiql:query')?.includes(` ${name} {`);
    await page.waitForFunction(isRead, tab);
    await page.locator('.graphiql-execute-button').click();
    const answer = page.locator('.result-window');
    const read = async () => ((await answer.textContent()) ?? '').replaceAll(/\s+/g, ' ');
    await expect.poll(read, { timeout: 20_000 }).toContain(text);
    return read();
  }

  it('opens with a tab for each step of a first conversation', async () => {
    const names = graphiqlTabs(server.app.graphs).map(
      ({ query }) => /^(?:mutation|subscription|query) (\w+)/m.exec(query)?.[1],
    );
    const tabs = await page.locator('.graphiql-tab-button').allTextContents();
    expect(tabs.map((tab) => tab.trim())).toEqual(names);
  });

  it('runs every tab as it is: asks, follows over the WebSocket, asks another agent, shows the history', async () => {
    expect(await run('Ask', 'createRun')).not.toContain('errors');
    const followed = await run('Follow', 'SUCCESS');
    expect(followed).not.toContain('errors');
    // The newest event, and the events before it.
    expect(followed).toMatch(
      /"RunFinishedEvent".* "earlier": \[ .*"UpdatesEvent".*"isChunk": true/,
    );
    expect(requested.some((url) => url.startsWith('ws://'))).toBe(true);
    await page.locator('.graphiql-execute-button').click();
    expect(await run('AskAnother', 'SUCCESS')).toContain('openai');
    const history = await run('StateAndHistory', 'checkpointId');
    expect(history).toContain('who made you?');
    expect(history).toContain('and you?');
  }, 90_000);

  it('shows what the guides show: copies, imports, searches, and runs without a thread', async () => {
    expect(await run('Copy', 'copyThread')).toContain('who made you?');
    expect(await run('Import', 'SUCCESS')).toContain('what did I say first?');
    expect(await run('Find', 'totalCount')).toContain('makers');
    expect(await run('Stateless', 'SUCCESS')).toContain('Bagatur');
    expect(await run('Stream', '"RunFinishedEvent"')).toContain('Bagatur');
  }, 90_000);

  it('has a history of the operations, also after a reload, which keeps the tabs', async () => {
    const tabs = page.locator('.graphiql-tab-button');
    const count = await tabs.count();
    await page.reload();
    await page.waitForSelector('.graphiql-tabs');
    expect(await tabs.count()).toBe(count);
    await page.getByRole('button', { name: 'Show History' }).click();
    const entries = page.locator('.graphiql-history-item-label');
    await expect.poll(() => entries.allTextContents()).toContain('Stateless');
    await page.getByRole('button', { name: 'Hide History' }).click();
  }, 60_000);

  it('fits a phone: the answer is below the document, and as wide as the page', async () => {
    const phone = await browser.newPage({
      viewport: { width: 390, height: 844 },
      isMobile: true,
      hasTouch: true,
    });
    await phone.goto(`${server.url}/graphql`);
    await phone.waitForSelector('.graphiql-tabs');
    expect(await phone.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    const boxOf = (part: string) => phone.locator(part).boundingBox();
    const [document_, answer] = [
      await boxOf('.graphiql-editors'),
      await boxOf('.graphiql-response'),
    ];
    expect(answer?.y).toBeGreaterThanOrEqual((document_?.y ?? 0) + (document_?.height ?? 0));
    expect(answer?.width).toBeGreaterThan(340);
    await phone.close();
  }, 60_000);

  it('holds an approval: the agent asks, the question is seen, the answer runs the tool', async () => {
    expect(await run('AskFirst', 'INTERRUPTED')).toContain('Send this e-mail');
    expect(await run('OpenQuestions', 'totalCount')).toContain('Send this e-mail');
    expect(await run('Answer', 'SUCCESS')).toContain('E-mail sent to ada@example.com.');
    expect(await run('OpenQuestions', '"totalCount": 0')).not.toContain('errors');
  }, 90_000);

  it('sends the API key of its headers editor, also over the WebSocket, and does not keep the key', async () => {
    const graphsFile = path.join(import.meta.dirname, '../langgraph.json');
    await using keyed = await disposable(createTestApp({ graphsFile, auth: 'keys' }));
    const { headers } = await createViewer(keyed.server, {
      tenant: 'acme',
      owner: 'alice',
      role: 'member',
    });
    const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
    const own = await context.newPage();
    await own.goto(`${keyed.server.url}/graphql`);
    const answer = own.locator('.result-window');
    const runTab = async (name: string) => {
      await own.getByRole('button', { name, exact: true }).click();
      await own.locator('.graphiql-execute-button').click();
    };
    await own.waitForSelector('.graphiql-tabs');
    await runTab('Ask');
    await expect.poll(() => answer.textContent()).toContain('UNAUTHENTICATED');
    for (const [name, text] of [
      ['Ask', 'createRun'],
      ['Stream', 'RunFinishedEvent'],
    ] as const) {
      await own.getByRole('button', { name, exact: true }).click();
      await own.getByRole('button', { name: 'Headers', exact: true }).click();
      await own
        .locator('.graphiql-editor-tool .graphiql-editor:not(.hidden) .monaco-editor')
        .click();
      await own.keyboard.press('ControlOrMeta+A');
      await own.keyboard.insertText(JSON.stringify(headers));
      await own.locator('.graphiql-execute-button').click();
      await expect.poll(() => answer.textContent(), { timeout: 20_000 }).toContain(text);
    }
    // GraphiQL stores its tabs half a second after a change.
    await expect
      .poll(() => own.evaluate(() => localStorage.getItem('graphiql:tabState')))
      .toContain('"headers":null');
    const kept = await own.evaluate(() => JSON.stringify(localStorage));
    expect(kept).not.toContain(headers['x-api-key']);
    await context.close();
  }, 90_000);

  it('asks nobody but the server for anything', () => {
    const { host } = new URL(server.url);
    const foreign = requested.filter(
      (url) => /^(https?|wss?):/.test(url) && new URL(url).host !== host,
    );
    expect(foreign).toEqual([]);
    expect(problems).toEqual([]);
  });
});
