import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { browserPath } from './support/browser.ts';
import { WAIT } from './support/chat-page.ts';
import { createGate } from './support/gates.ts';
import { it as base } from './support/studio.ts';

const execute = promisify(execFile);

/** The graphs of the tests: some fail, and some wait for a file. */
const it = base.override('settings', {
  graphsFile: path.join(import.meta.dirname, 'support/langgraph.json'),
});

const TASKS = { streamModes: ['TASKS', 'UPDATES'], streamSubgraphs: true } as const;

describe.skipIf(!browserPath)('The runs in the studio', { timeout: 120_000 }, () => {
  it('show a support engineer why a run failed and what happened in it, and let them run it again', async ({
    openStudio,
    client,
  }) => {
    const threadId = await client.createThread();
    await client.runToEnd({
      threadId,
      assistantId: 'fail',
      input: { fail: true },
      streamModes: [...TASKS.streamModes],
    });
    const { page, problems, checkAccessibility } = await openStudio('/runs?status=ERROR');
    await page.getByText('CustomError: Boo!').waitFor();
    await checkAccessibility();
    await page.locator('tbody').getByRole('link').click();
    const run = page.getByRole('region', { name: 'Selected run' });
    await run.getByRole('img', { name: /^b: failed/ }).waitFor();
    await run.getByRole('img', { name: /^a: done/ }).waitFor();
    const events = page.getByRole('region', { name: 'Events' });
    await events.getByText('b failed: Boo!').waitFor();
    await checkAccessibility();

    await run.getByRole('button', { name: /^Actions for run/ }).click();
    await page.getByRole('menuitem', { name: 'Run again…' }).click();
    await page.getByRole('button', { name: 'Run again' }).click();
    await expect
      .poll(async () => (await client.getThread(threadId)).runs.nodes.length, WAIT)
      .toBe(2);
    await expect.poll(() => run.count(), WAIT).toBe(1);
    expect(problems).toEqual([]);
  });

  it('are cancelled together after the page has shown how many', async ({ openStudio, client }) => {
    const gate = createGate();
    const started = await Promise.all(
      [1, 2].map(async () =>
        client.startRun({
          threadId: await client.createThread(),
          assistantId: 'gate',
          input: { log: [], file: gate.file },
        }),
      ),
    );
    const { page } = await openStudio('/runs?graph=gate');
    await page.getByRole('button', { name: 'Cancel 2…' }).click();
    await page.getByRole('heading', { name: 'Cancel 2 runs?' }).waitFor();
    await page.getByRole('button', { name: 'Cancel 2 runs' }).click();
    for (const { id } of started) {
      await expect.poll(async () => (await client.getRun(id)).status, WAIT).toBe('CANCELLED');
    }
    await expect.poll(() => page.locator('tbody').getByText('Cancelled').count(), WAIT).toBe(2);
  });

  it('light their node in the graph while it runs, and not afterwards', async ({
    openStudio,
    client,
  }) => {
    const gate = createGate();
    const threadId = await client.createThread();
    const { id } = await client.startRun({
      threadId,
      assistantId: 'gate',
      input: { log: [], file: gate.file },
      streamModes: [...TASKS.streamModes],
    });
    const { page, problems, checkAccessibility } = await openStudio(
      `/threads/${threadId}?view=graph`,
    );
    await page.getByRole('button', { name: /^hold, running/ }).waitFor();
    await checkAccessibility();
    await gate.open();
    await client.untilEnded(id);
    await page.getByRole('button', { name: 'after, ran in this step' }).waitFor();
    expect(await page.locator('[data-running=true]').count()).toBe(0);
    expect(problems).toEqual([]);
  });

  it('are operations of the API that a person copies as curl', async ({ openStudio, client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'echo', input: { messages: [] } });
    const { page, checkAccessibility } = await openStudio('/runs?graph=echo');
    await page.locator('tbody tr').first().waitFor();
    await page.keyboard.press('a');
    const drawer = page.getByRole('complementary', { name: 'API' });
    await drawer.getByText('CountRuns').first().click();
    await drawer.getByRole('button', { name: 'Copy as curl' }).click();
    const command = await page.evaluate(() => navigator.clipboard.readText());
    const { stdout } = await execute('sh', ['-c', `${command} --silent`]);
    const { runCounts } = JSON.parse(stdout).data;
    expect(runCounts).toContainEqual(expect.objectContaining({ status: 'SUCCESS', count: 1 }));
    const link = await drawer.getByRole('link', { name: 'Open in GraphiQL' }).getAttribute('href');
    expect(new URL(link ?? '').searchParams.get('query')).toContain('CountRuns');
    await checkAccessibility();
  });
});
