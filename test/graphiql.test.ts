import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { graphiqlTabs } from '../src/graphql/graphiql-examples.ts';
import { createTestApp, type TestApp } from './support/app.ts';

const executablePath = findBrowser();
if (!executablePath) process.stdout.write('GraphiQL is not tested: no Chromium is installed.\n');

function findBrowser(): string | undefined {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // This file is not a page.
    }
  }
  return undefined;
}

describe.skipIf(!executablePath)('GraphiQL', () => {
  let server: TestApp;
  let browser: Browser;
  let page: Page;
  const requested: string[] = [];

  beforeAll(async () => {
    const graphsFile = path.join(import.meta.dirname, '../langgraph.json');
    server = await createTestApp({ graphsFile });
    browser = await chromium.launch({
      executablePath: executablePath as string,
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
    });
    page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    page.on('request', (request) => requested.push(request.url()));
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
    // Not a real click: a tab starts a drag on mousedown.
    await page.getByRole('button', { name: tab, exact: true }).dispatchEvent('click');
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
    expect(await run('Follow', 'SUCCESS')).not.toContain('errors');
    expect(requested.some((url) => url.startsWith('ws://'))).toBe(true);
    await page.locator('.graphiql-execute-button').click();
    expect(await run('AskAnother', 'SUCCESS')).toContain('openai');
    const history = await run('StateAndHistory', 'checkpointId');
    expect(history).toContain('who made you?');
    expect(history).toContain('and you?');
  }, 90_000);

  it('holds an approval: the agent asks, the question is seen, the answer runs the tool', async () => {
    expect(await run('AskFirst', 'INTERRUPTED')).toContain('Send this e-mail');
    expect(await run('OpenQuestions', 'totalCount')).toContain('Send this e-mail');
    expect(await run('Answer', 'SUCCESS')).toContain('E-mail sent to ada@example.com.');
    expect(await run('OpenQuestions', '"totalCount": 0')).not.toContain('errors');
  }, 90_000);

  it('asks nobody but the server for anything', () => {
    const { host } = new URL(server.url);
    const foreign = requested.filter(
      (url) => /^(https?|wss?):/.test(url) && new URL(url).host !== host,
    );
    expect(foreign).toEqual([]);
  });
});
