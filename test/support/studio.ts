import path from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';
import { it as base } from './fixture.ts';
import { launchBrowser } from './browser.ts';

/** A page of the studio, and everything that went wrong in it. */
export interface StudioPage {
  page: Page;
  /** Errors of the console, uncaught errors, and violations of the Content-Security-Policy. */
  problems: string[];
  /** The URLs of all requests and WebSockets. */
  requested: string[];
  /** Fails if the screen breaks a rule of WCAG AA. */
  checkAccessibility(): Promise<void>;
}

export type OpenStudio = (
  screen: string,
  options?: BrowserContextOptions & { url?: string },
) => Promise<StudioPage>;

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/** `openStudio` opens a screen of the studio in a browser profile of its own, on the server of the file with the example graphs. */
export const it = base
  .extend(
    'settings',
    { scope: 'file' },
    {
      graphsFile: path.join(import.meta.dirname, '../../langgraph.json'),
    },
  )
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the names of the fixtures from the pattern
  .extend('browser', { scope: 'file' }, async ({}, { onCleanup }): Promise<Browser> => {
    const browser = await launchBrowser();
    onCleanup(() => browser.close());
    return browser;
  })
  .extend('openStudio', ({ browser, server }, { onCleanup }): OpenStudio => {
    const opened: StudioPage[] = [];
    onCleanup(async () => {
      for (const { page } of opened) await page.context().close();
    });
    return async (screen, { url = server.url, ...options } = {}) => {
      const context = await browser.newContext({
        viewport: { width: 1400, height: 900 },
        permissions: ['clipboard-read', 'clipboard-write'],
        ...options,
      });
      const studio = await watchPage(await context.newPage());
      opened.push(studio);
      await studio.page.goto(`${url}/studio${screen}`);
      return studio;
    };
  });

async function watchPage(page: Page): Promise<StudioPage> {
  const problems: string[] = [];
  const requested: string[] = [];
  page.on('request', (request) => requested.push(request.url()));
  page.on('websocket', (socket) => requested.push(socket.url()));
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (line) => line.type() === 'error' && problems.push(line.text()));
  await page.exposeFunction('noteViolation', (text: string) => problems.push(text));
  await page.addInitScript(() =>
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
      (globalThis as unknown as { noteViolation(text: string): void }).noteViolation(
        `${violatedDirective} ${blockedURI}`,
      ),
    ),
  );
  return {
    page,
    problems,
    requested,
    async checkAccessibility() {
      const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
      const found = violations.flatMap(({ id, nodes }) =>
        nodes.map(
          ({ target, failureSummary }) => `${id} at ${target.join(' ')}: ${failureSummary}`,
        ),
      );
      expect(found).toEqual([]);
    },
  };
}
