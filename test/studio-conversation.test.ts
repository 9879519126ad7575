import path from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect } from 'vitest';
import { browserPath } from './support/browser.ts';
import { WAIT } from './support/chat-page.ts';
import { startAtGate } from './support/gates.ts';
import { openFragileProxy } from './support/fragile-proxy.ts';
import { AUDIENCE, createIssuerKey, epoch, signToken, startJwksServer } from './support/jwks.ts';
import { createClient } from './support/client.ts';
import { settingsOf } from './support/settings.ts';
import { operation } from './support/graphql.ts';
import { it } from './support/studio.ts';
import { createViewer } from './support/viewers.ts';

const GRAPHS = path.join(import.meta.dirname, '../langgraph.json');
const MESSAGES = operation(`query ($id: ID!) {
  thread(id: $id) { messages { text } runs { totalCount nodes { status } } history { totalCount } }
}`);

async function ask(page: Page, text: string): Promise<void> {
  const field = page.getByLabel('Message', { exact: true });
  await field.fill(text);
  await field.press('Enter');
}

/** The texts of the messages in the page. */
async function shown(page: Page): Promise<string[]> {
  const texts = await page.locator('article > div').allTextContents();
  return texts.map((text) => text.trim());
}

describe.skipIf(!browserPath)('A conversation in the studio', { timeout: 120_000 }, () => {
  it('shows the answer as it comes, with the assistant that speaks; two people see the same', async ({
    openStudio,
    client,
  }) => {
    const id = await client.createThread();
    const one = await openStudio(`/threads/${id}`);
    const other = await openStudio(`/threads/${id}`);
    await other.page.getByText('Say something').waitFor();
    await ask(one.page, 'Who are you?');
    for (const { page, problems } of [one, other]) {
      await expect.poll(() => shown(page), WAIT).toHaveLength(2);
      await expect
        .poll(() => page.locator('article').last().textContent(), WAIT)
        .toContain('agent');
      await expect
        .poll(async () => (await shown(page))[1], WAIT)
        .toBe((await client.gql(MESSAGES, { id })).thread?.messages[1]?.text);
      expect(problems).toEqual([]);
    }
  });

  it('loses no word and shows none twice when the network fails in the middle of an answer', async ({
    openStudio,
    client,
  }) => {
    await using proxy = await openFragileProxy(client.url);
    const id = await client.createThread();
    const { page } = await openStudio(`/threads/${id}`, { url: new URL(proxy.url).origin });
    await page.getByText('Live', { exact: true }).waitFor();
    proxy.cutBefore('isChunk');
    await ask(page, 'Tell me something long, word by word, please');
    await page.getByText('Connecting again').waitFor();
    proxy.mend();
    const stored = async () =>
      (await client.gql(MESSAGES, { id })).thread?.messages.map(({ text }) => text) ?? [];
    await expect.poll(async () => (await stored()).length, WAIT).toBe(2);
    await expect.poll(async () => shown(page), WAIT).toEqual(await stored());
    await page.reload();
    await expect.poll(async () => shown(page), WAIT).toEqual(await stored());
    expect((await client.gql(MESSAGES, { id })).thread?.runs.totalCount).toBe(1);
  });

  it('edits a message, answers anew, and goes back to the version before', async ({
    openStudio,
    client,
  }) => {
    const id = await client.createThread();
    const { page } = await openStudio(`/threads/${id}`);
    await ask(page, 'First question');
    await expect.poll(() => shown(page), WAIT).toHaveLength(2);
    const first = page.locator('article').first();
    await first.hover();
    await first.getByRole('button', { name: 'Edit, and answer anew' }).click();
    await page.getByLabel('The message').fill('Second question');
    await page.getByRole('button', { name: 'Send', exact: true }).first().click();
    await expect.poll(async () => (await shown(page))[1], WAIT).toContain('"Second question"');
    await first.getByText('2 of 2').waitFor();
    await first.getByRole('button', { name: 'The version before' }).click();
    await expect.poll(async () => (await shown(page))[0], WAIT).toBe('First question');
    await expect.poll(async () => (await shown(page))[1], WAIT).toContain('"First question"');
  });

  it('stops a run and keeps its steps, or undoes it', async ({ openStudio, startServer }) => {
    const { server, client } = await startServer();
    const first = await startAtGate(client);
    const id = first.threadId;
    const states = async () => (await client.gql(MESSAGES, { id })).thread;
    const { page } = await openStudio(`/threads/${id}`, { url: server.url });
    await page.getByRole('button', { name: 'Stop' }).click();
    expect(await client.untilEnded(first.runId)).toMatchObject({ status: 'CANCELLED' });
    const kept = (await states())?.history.totalCount ?? 0;
    expect(kept).toBeGreaterThan(1);

    await startAtGate(client, { threadId: id });
    expect((await states())?.history.totalCount).toBeGreaterThan(kept);
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect.poll(async () => (await states())?.history.totalCount, WAIT).toBe(kept);
  });

  it('takes the input of a graph without messages, stops at a breakpoint and continues', async ({
    openStudio,
    startServer,
  }) => {
    const { server, client } = await startServer();
    const id = await client.createThread();
    const { page, problems } = await openStudio(`/threads/${id}`, { url: server.url });
    await page.getByLabel('Assistant', { exact: true }).selectOption({ label: 'steps' });
    await page.getByRole('button', { name: 'Options' }).click();
    await page.getByLabel('Stop before').fill('step2');
    await page.keyboard.press('Escape');
    await page.getByRole('tab', { name: 'JSON' }).click();
    await page.locator('.cm-content[aria-label="Input of the graph"]').fill('{"log": ["by hand"]}');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByText('The thread stopped at a breakpoint.').waitFor();
    expect((await client.getThread(id)).values).toEqual({ log: ['by hand', 'step1'] });
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect.poll(async () => (await client.getThread(id)).status, WAIT).toBe('IDLE');
    expect((await client.getThread(id)).values['log']).toHaveLength(11);
    expect(problems).toEqual([]);
  });

  it('keeps what a person types over a reload, and over an expired token', async ({
    openStudio,
    startServer,
  }) => {
    const key = await createIssuerKey('studio');
    await using jwks = await startJwksServer([key]);
    const { server } = await startServer(
      settingsOf({ AUTH_JWKS_URL: jwks.url, AUTH_AUDIENCE: AUDIENCE, AUTH_LEEWAY: '0' }),
    );
    const token = await signToken(key);
    const threadId = await createClient(
      server.as({ authorization: `Bearer ${token}` }),
    ).createThread();
    const { page, checkAccessibility } = await openStudio(`/threads/${threadId}`, {
      url: server.url,
    });
    const signIn = async (name: string, value: string) => {
      await page.getByRole('dialog', { name }).waitFor();
      await page.getByLabel('Sign in with').selectOption('token');
      await page.getByLabel('Token', { exact: true }).fill(value);
      await page.getByRole('button', { name: 'Sign in' }).click();
    };
    await page.getByRole('dialog', { name: 'Sign in' }).waitFor();
    await checkAccessibility();
    const short = await signToken(key, { exp: epoch() + 12 });
    await signIn('Sign in', short);
    await page.getByText('Say something').waitFor();
    const field = page.getByLabel('Message', { exact: true });
    await field.fill('A half-written');
    await page.reload();
    expect(await field.inputValue()).toBe('A half-written');
    await signIn('Sign in again', token);
    expect(await field.inputValue()).toBe('A half-written');
    await field.press('Enter');
    await expect.poll(() => shown(page), WAIT).toHaveLength(2);
    for (const storage of ['localStorage', 'document.cookie']) {
      expect(await page.evaluate(`JSON.stringify(${storage})`)).not.toContain(token);
    }
  });

  it('shows a reader the messages, and no way to change anything', async ({
    openStudio,
    startServer,
  }) => {
    const { server } = await startServer({ graphsFile: GRAPHS, auth: 'keys' });
    const alice = await createViewer(server, { tenant: 'acme', owner: 'alice', role: 'member' });
    const reader = await createViewer(server, { tenant: 'acme', owner: 'alice', role: 'reader' });
    const threadId = await alice.client.createThread();
    const input = { messages: [{ role: 'user', content: 'Hello' }] };
    await alice.client.runToEnd({ threadId, assistantId: 'agent', input });
    const { page } = await openStudio(`/threads/${threadId}`, { url: server.url });
    await page.getByLabel('API key', { exact: true }).fill(reader.headers['x-api-key']);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect.poll(() => shown(page), WAIT).toHaveLength(2);
    expect(await page.getByLabel('Message', { exact: true }).count()).toBe(0);
    expect(await page.getByRole('button', { name: /^Actions for/ }).count()).toBe(0);
    expect(await page.getByRole('button', { name: 'Answer anew' }).count()).toBe(0);
  });

  it('shows hostile Markdown as text, and loads nothing from other hosts', async ({
    openStudio,
    client,
  }) => {
    const text = [
      '<script>document.title = "broken"</script><img src=x onerror="document.title=\'broken\'">',
      '![tracker](https://tracker.example/pixel.png) [link](javascript:document.title="broken")',
    ].join('\n\n');
    const threadId = await client.createThread();
    const input = {
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: text },
      ],
    };
    await client.runToEnd({ threadId, assistantId: 'agent', input });
    const { page, problems, requested } = await openStudio(`/threads/${threadId}`);
    await page.getByRole('link', { name: 'tracker' }).waitFor();
    expect(await page.title()).not.toContain('broken');
    expect(await page.getByText('<script>').count()).toBeGreaterThan(0);
    expect(await page.locator('a[href^="javascript:"]').count()).toBe(0);
    const { host } = new URL(client.url);
    expect(requested.filter((url) => /^(http|ws)/.test(url) && new URL(url).host !== host)).toEqual(
      [],
    );
    expect(problems).toEqual([]);
  });

  it('shows the beginning of a text of 5 MB, and all of it on request', async ({
    openStudio,
    startServer,
  }) => {
    const { server, client } = await startServer({ bodyLimitBytes: 20_000_000 });
    const content = `Begin ${'word '.repeat(1_000_000)}`;
    const threadId = await client.createThread();
    const messages = [{ role: 'user', content }];
    await client.runToEnd({ threadId, assistantId: 'echo', input: { messages } });
    const { page, problems } = await openStudio(`/threads/${threadId}`, { url: server.url });
    const all = page.getByRole('button', { name: /^Show all 5,000,006 characters/ });
    await all.first().waitFor();
    expect((await shown(page))[0]?.length).toBeLessThan(30_000);
    expect(problems).toEqual([]);
  });

  it('says so when the thread does not exist, and when it is deleted while it is open', async ({
    openStudio,
    client,
  }) => {
    const id = await client.createThread({ metadata: { title: 'Soon gone' } });
    const { page } = await openStudio(`/threads/${id}`);
    await page.getByRole('heading', { name: 'Soon gone' }).waitFor();
    await page.getByText('Live', { exact: true }).waitFor();
    await client.gql(operation(`mutation ($id: ID!) { deleteThread(id: $id) }`), { id });
    await page.getByRole('heading', { name: 'This thread does not exist' }).waitFor();
  });
});
