import path from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect } from 'vitest';
import { browserPath } from './support/browser.ts';
import { WAIT } from './support/chat-page.ts';
import type { Client } from './support/client.ts';
import { operation } from './support/graphql.ts';
import { it } from './support/studio.ts';

it.override('settings', {
  graphsFile: path.join(import.meta.dirname, 'support/studio-graphs.json'),
});

const STATE = operation(`query ($id: ID!) {
  thread(id: $id) { status values preview { lastText } interrupts { id } }
}`);
const CREATE_ASSISTANT = operation(`mutation ($input: CreateAssistantInput!) {
  createAssistant(input: $input) { id }
}`);
const ASSISTANT = operation(`query ($id: ID!) {
  assistant(id: $id) { version context versions { nodes { version context } } }
}`);

/** Makes a thread with an open question. */
async function askOn(client: Client, assistantId: string, text: string): Promise<string> {
  const id = await client.createThread({ metadata: { title: text } });
  const input = assistantId === 'trip' ? {} : { messages: [{ role: 'user', content: text }] };
  const { status } = await client.runToEnd({ threadId: id, assistantId, input });
  expect(status).toBe('INTERRUPTED');
  return id;
}

async function stateOf(client: Client, id: string) {
  return (await client.gql(STATE, { id })).thread;
}

function openQuestions(page: Page): Promise<string[]> {
  return page.getByRole('list', { name: 'Open questions' }).locator('a').allTextContents();
}

describe.skipIf(!browserPath)('A question in the studio', { timeout: 120_000 }, () => {
  it('is found in the inbox with the keyboard and approved there; the next one follows', async ({
    openStudio,
    client,
  }) => {
    const first = await askOn(client, 'approval', 'Write to ada@example.com');
    const second = await askOn(client, 'approval', 'Write to bob@example.com');
    const { page, problems, checkAccessibility } = await openStudio('/inbox?graph=approval');
    await expect.poll(() => openQuestions(page), WAIT).toHaveLength(2);
    const pane = page.getByRole('article');
    await pane.getByText('Send this e-mail to ada@example.com?').waitFor();
    await page.keyboard.press('j');
    await pane.getByText('Send this e-mail to bob@example.com?').waitFor();
    await page.keyboard.press('k');
    await pane.getByText('Send this e-mail to ada@example.com?').waitFor();
    await checkAccessibility();
    await pane.getByRole('button', { name: 'Approve' }).click();
    await expect
      .poll(async () => (await stateOf(client, first))?.preview?.lastText, WAIT)
      .toContain('E-mail sent to ada@example.com.');
    await pane.getByText('This question no longer waits.').waitFor();
    await expect.poll(() => openQuestions(page), WAIT).toHaveLength(1);
    await pane.getByRole('button', { name: 'Next question' }).click();
    await pane.getByText('Send this e-mail to bob@example.com?').waitFor();
    await pane.getByRole('button', { name: 'Dismiss…' }).click();
    await page.getByRole('button', { name: 'Dismiss', exact: true }).click();
    await expect.poll(async () => (await stateOf(client, second))?.status, WAIT).toBe('IDLE');
    await page.getByText('This question no longer waits.').waitFor();
    expect(problems).toEqual([]);
  });

  it('is answered in its thread; what was typed stays after a reload', async ({
    openStudio,
    client,
  }) => {
    const id = await askOn(client, 'approval', 'Write to eve@example.com');
    const { page, problems, checkAccessibility } = await openStudio(`/threads/${id}`);
    await page.getByLabel('Reason').fill('too early');
    await page.reload();
    await expect.poll(() => page.getByLabel('Reason').inputValue(), WAIT).toBe('too early');
    await checkAccessibility();
    await page.getByRole('button', { name: 'Reject' }).click();
    await expect
      .poll(() => page.getByRole('log').textContent(), WAIT)
      .toContain('Not sent: too early.');
    expect(await page.getByRole('button', { name: 'Reject' }).count()).toBe(0);
    expect(problems).toEqual([]);
  });

  it('that two people answer says to the second one that somebody was first, and keeps the text', async ({
    openStudio,
    client,
  }) => {
    const id = await askOn(client, 'approval', 'Write to joe@example.com');
    const one = await openStudio(`/threads/${id}`);
    const other = await openStudio(`/threads/${id}`);
    await other.page.getByLabel('Reason').fill('I know better');
    await one.page.getByRole('button', { name: 'Approve' }).click();
    await other.page.getByRole('heading', { name: 'Somebody else was first' }).waitFor();
    await expect
      .poll(() => other.page.getByLabel('Your answer', { exact: true }).textContent(), WAIT)
      .toContain('I know better');
    await other.page.getByText('wrote').click();
    await expect
      .poll(() => other.page.getByLabel('What the node wrote').textContent(), WAIT)
      .toContain('E-mail sent to joe@example.com.');
    expect(await one.page.getByText('Somebody else was first').count()).toBe(0);
    expect((await stateOf(client, id))?.preview?.lastText).toContain('E-mail sent');
  });

  it('says that somebody was first also to a person whose answer was on its way', async ({
    openStudio,
    client,
  }) => {
    const id = await askOn(client, 'approval', 'Write to kim@example.com');
    const { page } = await openStudio(`/threads/${id}`);
    let letPass = () => {};
    const isOtherAnswered = new Promise<void>((resolve) => (letPass = resolve));
    await page.route('**/graphql', async (route) => {
      if (route.request().postData()?.includes('mutation Answer')) await isOtherAnswered;
      await route.continue();
    });
    await page.getByLabel('Reason').fill('Mine');
    await page.getByRole('button', { name: 'Approve' }).click();
    const command = { resume: [{ value: { approved: false, reason: 'theirs' } }] };
    await client.runToEnd({ threadId: id, assistantId: 'approval', command });
    await page.getByRole('button', { name: 'Approve' }).waitFor({ state: 'detached' });
    letPass();
    await page.getByRole('heading', { name: 'Somebody else was first' }).waitFor();
    expect(await page.getByLabel('Your answer', { exact: true }).textContent()).toContain('Mine');
    expect((await stateOf(client, id))?.preview?.lastText).toContain('theirs');
  });

  it('with nested lists and kinds is answered by a form that names each wrong field', async ({
    openStudio,
    client,
  }) => {
    const id = await askOn(client, 'trip', 'A trip');
    const { page, problems, checkAccessibility } = await openStudio(`/threads/${id}`);
    await page.getByLabel('Name', { exact: true }).fill('A');
    await page.getByLabel('Travellers').fill('many');
    await page.getByRole('button', { name: 'Send the answer' }).click();
    const alert = page.getByRole('alert');
    await expect
      .poll(() => alert.textContent(), WAIT)
      .toContain('Name: Needs at least 2 characters.');
    const wrong = await alert.locator('li').allTextContents();
    expect(wrong).toContain('Travellers: Must be a whole number.');
    expect(wrong).toContain('Stops, 1, City: A value is required.');
    expect(wrong).toContain('Insured: A value is required.');
    await checkAccessibility();
    await alert.getByRole('button', { name: 'Travellers' }).click();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('2');
    await page.getByLabel('Name', { exact: true }).fill('Ada');
    await page.getByLabel('City').fill('Rome');
    await page.getByRole('button', { name: 'Add Sights 1' }).click();
    await page.getByLabel('Sights 1', { exact: true }).fill('Forum');
    await page.getByRole('button', { name: 'Add Sights 2' }).click();
    await page.getByLabel('Sights 2', { exact: true }).fill('Pantheon');
    await page.getByRole('button', { name: 'Add Stops 2' }).click();
    await page.getByLabel('City').nth(1).fill('Naples');
    await page.getByLabel('Kind of Pay').selectOption('invoice');
    await page.getByLabel('Address').fill('Via Appia 1');
    await page.getByRole('radio', { name: 'No' }).check();
    await page.getByRole('button', { name: 'Send the answer' }).click();
    await expect.poll(async () => (await stateOf(client, id))?.status, WAIT).toBe('IDLE');
    expect((await stateOf(client, id))?.values).toEqual({
      trip: {
        name: 'Ada',
        travellers: 2,
        stops: [
          { city: 'Rome', sights: ['Forum', 'Pantheon'] },
          { city: 'Naples', sights: [] },
        ],
        pay: { by: 'invoice', address: 'Via Appia 1' },
        insured: false,
      },
    });
    expect(problems).toEqual([]);
  });

  it('takes JSON in place of the form, and says where it does not fit', async ({
    openStudio,
    client,
  }) => {
    const id = await askOn(client, 'trip', 'A trip in JSON');
    const { page } = await openStudio(`/threads/${id}`);
    const trip = { name: 'Ada', travellers: 12, stops: [{ city: 'Rome', sights: [] }] };
    const answer = { ...trip, pay: { by: 'card', number: '1' }, insured: true };
    // The input of the graph below has tabs of its own.
    const question = page.getByRole('region', { name: /^Question of/ });
    await question.getByRole('tab', { name: 'JSON' }).click();
    await question.locator('.cm-content').fill(JSON.stringify(answer));
    await page.getByRole('button', { name: 'Send the answer' }).click();
    await expect
      .poll(() => question.getByRole('alert').textContent(), WAIT)
      .toBe('Travellers: Must be at most 9.');
    await question.locator('.cm-content').fill(JSON.stringify({ ...answer, travellers: 3 }));
    await page.getByRole('button', { name: 'Send the answer' }).click();
    await expect
      .poll(async () => (await stateOf(client, id))?.values, WAIT)
      .toEqual({ trip: { ...answer, travellers: 3 } });
  });
});

describe.skipIf(!browserPath)('An assistant in the studio', { timeout: 120_000 }, () => {
  it('gets a new version through a form; an older one becomes active again', async ({
    openStudio,
    client,
  }) => {
    const input = { graphId: 'agent', name: 'Writer', context: { system_prompt: 'Be short.' } };
    const { createAssistant } = await client.gql(CREATE_ASSISTANT, { input });
    const id = createAssistant?.id ?? '';
    const assistant = async () => (await client.gql(ASSISTANT, { id })).assistant;
    const { page, problems, checkAccessibility } = await openStudio('/assistants?find=writ');
    await page.getByRole('link', { name: 'Writer' }).click();
    await page.getByRole('button', { name: 'Edit as a new version' }).click();
    await page.getByLabel('System prompt').fill('Be long.');
    await page.getByLabel('Max retries').fill('-1');
    await page.getByRole('button', { name: 'Save as a new version' }).click();
    await page.getByText('Max retries: Must be at least 0.').waitFor();
    await page.getByLabel('Max retries').fill('4');
    await checkAccessibility();
    await page.getByRole('button', { name: 'Save as a new version' }).click();
    await page.getByRole('heading', { name: 'Version 2' }).waitFor();
    expect((await assistant())?.context).toEqual({ system_prompt: 'Be long.', max_retries: 4 });
    const difference = page.getByRole('region', { name: 'Difference' }).locator('tbody tr');
    expect(await difference.allTextContents()).toEqual([
      'context.system_promptBe short.Be long.',
      'context.max_retries–4',
    ]);
    await page.getByRole('link', { name: 'Version 1' }).click();
    await page.getByRole('button', { name: 'Make it active' }).click();
    await expect.poll(async () => (await assistant())?.version, WAIT).toBe(1);
    expect((await assistant())?.versions.nodes).toHaveLength(2);
    await checkAccessibility();
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByText('Say something').waitFor();
    expect(await page.getByLabel('Assistant', { exact: true }).inputValue()).toBe(id);
    expect(problems).toEqual([]);
  });

  it('that belongs to a graph stays, and the refusal of its deletion is explained', async ({
    openStudio,
  }) => {
    const { page } = await openStudio('/assistants?graph=approval');
    await page.getByRole('link', { name: 'approval' }).click();
    await page.getByRole('button', { name: 'Delete…' }).click();
    await page.getByRole('button', { name: 'Delete the assistant' }).click();
    await page.getByText('Each graph keeps its default assistant').waitFor();
    await page.getByRole('button', { name: 'Close' }).last().click();
    await page.getByRole('heading', { name: 'Version 1' }).waitFor();
  });
});
