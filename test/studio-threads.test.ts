import path from 'node:path';
import { describe, expect } from 'vitest';
import { browserPath } from './support/browser.ts';
import { WAIT } from './support/chat-page.ts';
import type { Client } from './support/client.ts';
import { it } from './support/studio.ts';
import type { Page } from 'playwright-core';

const GRAPHS = path.join(import.meta.dirname, '../langgraph.json');
const HELLO = { messages: [{ role: 'user', content: 'Hello there' }] };

function rows(page: Page): Promise<string[]> {
  return page.locator('tbody tr').allTextContents();
}

/** Makes a thread with a run, for tests that need one in a list. */
async function talk(client: Client, metadata: Record<string, unknown>): Promise<string> {
  const id = await client.createThread({ metadata });
  await client.runToEnd({ threadId: id, assistantId: 'agent', input: HELLO });
  return id;
}

describe.skipIf(!browserPath)('The threads in the studio', { timeout: 120_000 }, () => {
  it('teach a newcomer what a thread, a run and a checkpoint are, and start one', async ({
    openStudio,
    startServer,
  }) => {
    const { server } = await startServer({ graphsFile: GRAPHS });
    const { page, problems, checkAccessibility } = await openStudio('', { url: server.url });
    await page.getByRole('heading', { name: 'No threads yet' }).waitFor();
    for (const word of ['thread', 'run', 'checkpoint']) {
      expect(await page.locator('main').textContent()).toContain(word);
    }
    await checkAccessibility();
    await page.getByRole('button', { name: 'Start a thread' }).click();
    await page.getByLabel('Title').fill('My first thread');
    await page.getByRole('button', { name: 'Create the thread' }).click();
    await page.getByRole('heading', { name: 'My first thread' }).waitFor();
    await page.getByLabel('Message', { exact: true }).fill('Who made you?');
    await page.getByLabel('Message', { exact: true }).press('Enter');
    await expect
      .poll(() => page.getByRole('log').textContent(), WAIT)
      .toContain('You asked "Who made you?"');
    expect(problems).toEqual([]);
  });

  it('are found by status, metadata, words and id; the address has the filters, and back undoes them', async ({
    openStudio,
    client,
  }) => {
    const paris = await talk(client, { title: 'Trip to Paris', team: 'travel' });
    await talk(client, { title: 'Trip to Rome', team: 'travel' });
    const empty = await client.createThread({ metadata: { title: 'Empty', team: 'none' } });
    const { page } = await openStudio('/threads');
    await page.getByPlaceholder('Metadata: key=value').fill('team=travel');
    await expect.poll(() => rows(page), WAIT).toHaveLength(2);
    await page.getByRole('searchbox').fill('par');
    await expect.poll(() => rows(page), WAIT).toHaveLength(1);
    expect((await rows(page))[0]).toContain('Trip to Paris');
    const address = page.url();
    expect(address).toContain('meta=team%3Dtravel');
    await page.reload();
    await expect.poll(() => rows(page), WAIT).toHaveLength(1);
    await page.goBack();
    await expect.poll(() => rows(page), WAIT).toHaveLength(2);
    await page.getByRole('searchbox').fill(empty);
    await page.getByPlaceholder('Metadata: key=value').fill('');
    await expect.poll(() => rows(page), WAIT).toHaveLength(1);
    await page.goto(`${client.url}/studio/threads?status=ERROR`);
    await page.getByRole('heading', { name: 'No thread matches' }).waitFor();
    await page.getByRole('button', { name: 'Remove the filters' }).click();
    await expect.poll(async () => (await rows(page)).join(), WAIT).toContain('Trip to Paris');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: /An id/ }).fill(paris);
    await page.getByRole('option', { name: /^Thread/ }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Trip to Paris' }).waitFor();
  });

  it('are sorted by each column of the server, also in pages', async ({ openStudio, client }) => {
    for (let n = 0; n < 55; n++) {
      await client.createThread({ metadata: { title: `Sorted ${n}`, sorted: 'yes' } });
    }
    const { page } = await openStudio('/threads?meta=sorted%3Dyes&sort=CREATED_AT&direction=ASC');
    await expect.poll(() => rows(page), WAIT).toHaveLength(50);
    expect((await rows(page))[0]).toContain('Sorted 0');
    await page.getByRole('button', { name: 'Next' }).click();
    await expect.poll(() => rows(page), WAIT).toHaveLength(5);
    expect((await rows(page)).at(-1)).toContain('Sorted 54');
    await page.getByRole('button', { name: 'Previous' }).click();
    await expect.poll(async () => (await rows(page))[0], WAIT).toContain('Sorted 0');
    for (const [column, field] of [
      ['Status', 'STATUS'],
      ['Updated', 'UPDATED_AT'],
      ['Id', 'ID'],
    ] as const) {
      await page.getByRole('button', { name: column, exact: true }).click();
      await expect.poll(() => page.url(), WAIT).toContain(`sort=${field}`);
      const header = page.getByRole('columnheader', { name: column, exact: true });
      await expect.poll(() => header.getAttribute('aria-sort'), WAIT).toBe('descending');
    }
  });

  it('get a first state, another name, a copy, and are deleted', async ({ openStudio, client }) => {
    const { page, problems } = await openStudio('/threads');
    await page.getByRole('button', { name: 'New thread' }).click();
    await page.getByLabel('Title').fill('With a state');
    await page.getByLabel('Graph', { exact: true }).last().selectOption('agent');
    const state = page.locator('.cm-content[aria-label="First state"]');
    await state.click();
    await page.keyboard.insertText(JSON.stringify(HELLO));
    await page.getByRole('button', { name: 'Create the thread' }).click();
    await expect.poll(() => page.getByRole('log').textContent(), WAIT).toContain('Hello there');
    const id = page.url().split('/').at(-1) ?? '';
    expect(await client.findThread(id)).toMatchObject({ metadata: { title: 'With a state' } });

    await page.getByRole('button', { name: /^Actions for/ }).click();
    await page.getByRole('menuitem', { name: 'Rename…' }).click();
    await page.getByLabel('Title').fill('Renamed');
    await page.getByRole('button', { name: 'Rename', exact: true }).click();
    await page.getByRole('heading', { name: 'Renamed' }).waitFor();

    await page.getByRole('button', { name: /^Actions for/ }).click();
    await page.getByRole('menuitem', { name: 'Copy' }).click();
    await expect.poll(() => page.url().endsWith(id), WAIT).toBe(false);
    const copy = page.url().split('/').at(-1) ?? '';
    await page.getByRole('heading', { name: 'Renamed' }).waitFor();

    await page.getByRole('button', { name: /^Actions for/ }).click();
    await page.getByRole('menuitem', { name: 'Delete…' }).click();
    await page.getByRole('button', { name: 'Delete the thread' }).click();
    await expect.poll(() => page.url(), WAIT).toMatch(/\/threads$/);
    expect(await client.findThread(copy)).toBeNull();
    expect(await client.findThread(id)).not.toBeNull();
    expect(problems).toEqual([]);
  });

  it('change while they are shown: a status in its row, and other threads by a button', async ({
    openStudio,
    client,
  }) => {
    const id = await client.createThread({ metadata: { title: 'Shown', live: 'yes' } });
    const { page } = await openStudio('/threads?meta=live%3Dyes');
    await expect.poll(() => rows(page), WAIT).toHaveLength(1);
    await page.getByText('Live', { exact: true }).waitFor();
    const asks = { messages: [{ role: 'user', content: 'mail ada@example.com' }] };
    await client.runToEnd({ threadId: id, assistantId: 'approval', input: asks });
    await expect.poll(async () => (await rows(page))[0], WAIT).toContain('Waiting for you');
    await client.createThread({ metadata: { title: 'Later', live: 'yes' } });
    await page.getByRole('button', { name: /changed$/ }).click();
    await expect.poll(() => rows(page), WAIT).toHaveLength(2);
  });

  it('are accessible in both themes, on a desktop and on a phone', async ({
    openStudio,
    client,
  }) => {
    const id = await talk(client, { title: 'Looked at' });
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, checkAccessibility } = await openStudio('/threads', { colorScheme });
      await page.getByRole('link', { name: 'Looked at' }).waitFor();
      await checkAccessibility();
      await page.goto(`${client.url}/studio/threads/${id}`);
      await page.getByText('You asked "Hello there"').waitFor();
      await checkAccessibility();
      await page.keyboard.press('?');
      await page.getByRole('dialog').waitFor();
      await checkAccessibility();
    }
    const { page } = await openStudio(`/threads/${id}`, { viewport: { width: 390, height: 844 } });
    await page.getByText('You asked "Hello there"').waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    const send = await page.getByRole('button', { name: 'Send' }).boundingBox();
    expect((send?.x ?? 390) + (send?.width ?? 0)).toBeLessThanOrEqual(390);
    await page.goto(`${client.url}/studio/threads`);
    await page.getByRole('link', { name: 'Looked at' }).waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  });
});
