import type { Page } from 'playwright-core';
import { describe, expect } from 'vitest';
import { human } from './support/app.ts';
import { browserPath } from './support/browser.ts';
import { WAIT } from './support/chat-page.ts';
import type { Client } from './support/client.ts';
import { operation } from './support/graphql.ts';
import { it } from './support/studio.ts';

const HISTORY = operation(`query ($id: ID!) {
  thread(id: $id) {
    state { checkpointId values }
    history(first: 100) { nodes { checkpointId parentCheckpointId step source next } }
  }
}`);

const EDIT = operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { checkpointId }
}`);

/** A thread after these messages. */
async function talk(client: Client, ...texts: string[]): Promise<string> {
  const threadId = await client.createThread();
  for (const text of texts) {
    await client.runToEnd({ threadId, assistantId: 'agent', input: human(text) });
  }
  return threadId;
}

async function historyOf(client: Client, id: string) {
  const { thread } = await client.gql(HISTORY, { id });
  return thread?.history.nodes ?? [];
}

/** The rows of the timeline, as a person reads them. */
function rowsOf(page: Page) {
  return page.getByRole('list', { name: /^Checkpoints/ }).getByRole('listitem');
}

/** The horizontal places of the dots: one for each lane. */
async function lanesOf(page: Page): Promise<number> {
  const places = await page
    .locator('svg circle')
    .evaluateAll((dots) => dots.map((dot) => dot.getAttribute('cx')));
  return new Set(places).size;
}

async function select(page: Page, checkpointId: string | undefined): Promise<void> {
  await page.locator(`[data-checkpoint="${checkpointId}"]`).click();
  await expect.poll(() => parameter(page, 'cp')).toBe(checkpointId);
}

function parameter(page: Page, name: string): string | null {
  return new URL(page.url()).searchParams.get(name);
}

/** Edits the selected state with the keyboard shortcut. */
async function edit(page: Page, values: unknown, node: string): Promise<void> {
  await page.getByRole('button', { name: 'Edit', exact: true }).waitFor();
  await page.keyboard.press('e');
  const dialog = page.getByRole('dialog');
  const editor = dialog.locator('.cm-content');
  await editor.fill(JSON.stringify(values));
  await dialog.getByLabel('As node').selectOption(node);
  await dialog.getByRole('button', { name: 'Save as a new checkpoint' }).click();
}

describe.skipIf(!browserPath)('The timeline in the studio', { timeout: 120_000 }, () => {
  it('shows three lanes after two edits of earlier states, what became of them, and runs again from one', async ({
    openStudio,
    client,
  }) => {
    const id = await talk(client, 'One', 'Two', 'Three');
    const [, , , newer, , , older] = await historyOf(client, id);
    const { page, problems } = await openStudio(`/threads/${id}`);
    await expect.poll(() => rowsOf(page).count(), WAIT).toBe(9);
    expect(await lanesOf(page)).toBe(1);

    for (const [index, checkpoint] of [newer, older].entries()) {
      await select(page, checkpoint?.checkpointId);
      await edit(page, { messages: [{ role: 'user', content: `Edit ${index}` }] }, '__start__');
      const dialog = page.getByRole('dialog');
      await dialog.getByRole('heading', { name: 'Became' }).waitFor();
      // The reducer appends: what became has more messages than what was sent.
      expect(await dialog.getByLabel('messages, sent').textContent()).not.toContain('One');
      const became = dialog.getByLabel('messages, became');
      await expect.poll(() => became.textContent(), WAIT).toContain(`Edit ${index}`);
      expect(await became.textContent()).toContain('One');
      await dialog.getByRole('button', { name: 'Show the new state' }).click();
      await expect.poll(() => rowsOf(page).count(), WAIT).toBe(10 + index);
    }
    await expect.poll(() => lanesOf(page), WAIT).toBe(3);
    await expect.poll(() => rowsOf(page).first().textContent(), WAIT).toContain('Edited by hand');
    expect(await page.getByText('2 branches').count()).toBe(2);

    const [edited] = await historyOf(client, id);
    expect(parameter(page, 'cp')).toBe(edited?.checkpointId);
    await page.getByText('next: agent').waitFor();
    await page.keyboard.press('r');
    await page.getByRole('dialog').getByRole('button', { name: 'Run', exact: true }).click();
    await expect.poll(() => rowsOf(page).first().textContent(), WAIT).toContain('current');
    await expect
      .poll(async () => (await historyOf(client, id))[0]?.parentCheckpointId, WAIT)
      .toBe(edited?.checkpointId);
    await expect.poll(() => rowsOf(page).count(), WAIT).toBe(12);
    expect(problems).toEqual([]);
  });

  it('moves with j and k, and with brackets between the branches of a fork', async ({
    openStudio,
    client,
  }) => {
    const id = await talk(client, 'One', 'Two');
    const rows = await historyOf(client, id);
    const root = rows.at(-1)?.checkpointId ?? '';
    const input = { threadId: id, assistantId: 'agent', input: human('Other'), checkpointId: root };
    await client.runToEnd(input);
    const [, , fork] = await historyOf(client, id);
    const { page } = await openStudio(`/threads/${id}`);
    await expect.poll(() => rowsOf(page).count(), WAIT).toBe(9);
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await expect.poll(() => parameter(page, 'cp')).toBe(fork?.checkpointId);
    await page.keyboard.press(']');
    const sibling = rows.find(({ parentCheckpointId }) => parentCheckpointId === root);
    await expect.poll(() => parameter(page, 'cp')).toBe(sibling?.checkpointId);
    await page.keyboard.press('[');
    await expect.poll(() => parameter(page, 'cp')).toBe(fork?.checkpointId);
    await page.keyboard.press('k');
    await expect.poll(() => parameter(page, 'cp')).not.toBe(fork?.checkpointId);
    await page.goBack();
    await expect.poll(() => parameter(page, 'cp')).toBe(fork?.checkpointId);
  });

  it('shows the same selection and comparison after a reload', async ({ openStudio, client }) => {
    const id = await talk(client, 'One', 'Two');
    const [head, , , first] = await historyOf(client, id);
    const { page, checkAccessibility } = await openStudio(`/threads/${id}`);
    await select(page, head?.checkpointId);
    const other = rowsOf(page).nth(3);
    await other.hover();
    await other.getByRole('button', { name: /^Compare/ }).click();
    expect(parameter(page, 'vs')).toBe(first?.checkpointId);
    const changes = page.getByRole('list', { name: 'Changes' }).getByRole('listitem');
    await expect.poll(() => changes.count(), WAIT).toBe(2);
    const before = await changes.allTextContents();
    expect(before[0]).toContain('Two');
    await page.reload();
    await expect.poll(() => changes.allTextContents(), WAIT).toEqual(before);
    await checkAccessibility();
    await page.getByRole('tab', { name: 'Timeline' }).click();
    await expect.poll(() => page.locator('[aria-current=true]').count(), WAIT).toBe(1);
    await page.getByText('compared', { exact: true }).waitFor();
    await checkAccessibility();
  });

  it('shows the values of a state as a tree with search, and the value of the address', async ({
    openStudio,
    client,
  }) => {
    const id = await talk(client, 'A <b>question</b>');
    const { page, checkAccessibility } = await openStudio(
      `/threads/${id}?view=state&path=/messages/0/content`,
    );
    const value = page.getByRole('region', { name: 'Selected value' });
    await value.getByText('A <b>question</b>').waitFor();
    const tree = page.getByRole('tree', { name: 'Values' });
    const selected = tree.getByRole('treeitem', { selected: true });
    expect(await selected.textContent()).toContain('A <b>question</b>');
    await checkAccessibility();
    await value.getByRole('button', { name: 'Copy path' }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('/messages/0/content');
    await page.getByLabel('Search in Values').fill('human');
    await expect.poll(() => tree.getByRole('treeitem').count(), WAIT).toBe(3);
    await tree.focus();
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await expect.poll(() => parameter(page, 'path')).toBe('/messages/0/type');
  });

  it('loads a channel of megabytes when a person asks for it', async ({ openStudio, client }) => {
    const id = await client.createThread();
    const input = { threadId: id, assistantId: 'research', input: { topic: 'Tea' } };
    await client.runToEnd(input);
    const values = { report: 'x'.repeat(900_000) };
    await client.gql(EDIT, { id, input: { values, asNode: 'writer' } });
    const { page } = await openStudio(`/threads/${id}?view=state`);
    const tree = page.getByRole('tree', { name: 'Values' });
    await tree.getByText('topic').waitFor();
    expect(await tree.getByText('report').count()).toBe(0);
    await page.getByRole('button', { name: 'Load report (900 kB)' }).click();
    await tree.getByText('report').click();
    const value = page.getByRole('region', { name: 'Selected value' });
    await value.getByRole('button', { name: 'Show more' }).waitFor();
    expect((await value.textContent())?.length).toBeLessThan(20_000);
  });

  it('opens the checkpoints of a subgraph from the task of its node', async ({
    openStudio,
    client,
  }) => {
    const id = await client.createThread();
    const input = { threadId: id, assistantId: 'research', input: { topic: 'Tea' } };
    await client.runToEnd(input);
    const before = (await historyOf(client, id)).find(({ next }) => next.includes('writer'));
    const { page } = await openStudio(`/threads/${id}?cp=${before?.checkpointId}`);
    await page.getByRole('button', { name: 'Open its subgraph' }).click();
    await expect.poll(() => rowsOf(page).count(), WAIT).toBe(4);
    expect(await rowsOf(page).first().textContent()).toContain('draft');
    await page.getByRole('button', { name: 'Whole graph' }).click();
    await expect.poll(() => rowsOf(page).count(), WAIT).toBe(5);
    await page.getByLabel('Origin').selectOption('Inputs');
    await expect.poll(() => rowsOf(page).count(), WAIT).toBe(1);
    expect(parameter(page, 'source')).toBe('INPUT');
  });
});
