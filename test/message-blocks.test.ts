import path from 'node:path';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { selectThread } from './support/select-thread.ts';

it.override('settings', {
  graphsFile: path.join(import.meta.dirname, 'support/value-graphs.json'),
});

const BLOCKS = `messages(last: 100) { text blocks {
  __typename type value
  ... on TextBlock { text annotations }
  ... on ReasoningBlock { text }
  ... on RefusalBlock { text }
  ... on MediaBlock { kind url data mimeType fileId }
  ... on FileBlock { fileName plainText url data mimeType fileId }
  ... on ToolCallBlock { toolCallId name args }
} }` as const;

/** Lets a graph keep these messages, and returns the blocks of each message. */
async function blocksOf(client: Client, messages: unknown[]) {
  const threadId = randomId();
  const request = { assistantId: 'raw', threadId, ifThreadMissing: 'CREATE' as const };
  expect(await client.runToEnd({ ...request, input: { messages } })).toMatchObject({
    status: 'SUCCESS',
  });
  const { messages: shown } = await selectThread(client, threadId, BLOCKS);
  return shown.map(({ blocks }) => blocks);
}

/** Returns the block of a stored value, without its type and value. */
async function blockOf(client: Client, stored: unknown) {
  const [blocks] = await blocksOf(client, [{ type: 'ai', content: [stored] }]);
  const [{ type: _type, value, ...block } = expect.fail('No block')] = blocks ?? [];
  expect(value).toEqual(stored);
  return block;
}

const NO_SOURCE = { url: null, data: null, mimeType: null, fileId: null };
const media = (kind: string, source: object) => ({
  __typename: 'MediaBlock',
  kind,
  ...NO_SOURCE,
  ...source,
});
const file = (fields: object) => ({
  __typename: 'FileBlock',
  fileName: null,
  plainText: null,
  ...NO_SOURCE,
  ...fields,
});
const text = (value: string, annotations: unknown[] = []) => ({
  __typename: 'TextBlock',
  text: value,
  annotations,
});
const reasoning = (value: string) => ({ __typename: 'ReasoningBlock', text: value });
const call = (fields: object) => ({ __typename: 'ToolCallBlock', name: 'find', ...fields });
const UNKNOWN = { __typename: 'UnknownBlock' };

const PNG = { data: 'iVBORw==', mimeType: 'image/png' };
const PDF = { data: 'JVBERg==', mimeType: 'application/pdf' };
const URL = 'https://example.org/a';
const args = { query: 'x' };

describe('A content block', () => {
  it.for<[name: string, stored: object, shown: object]>([
    ['a text', { type: 'text', text: 'a' }, text('a')],
    ['a text of the Responses API', { type: 'output_text', text: 'a' }, text('a')],
    ['a text without a type', { text: 'a' }, text('a')],
    [
      'a text with citations',
      { type: 'text', text: 'a', citations: [{ cited_text: 'b' }, 7] },
      text('a', [{ cited_text: 'b' }]),
    ],
    ['reasoning', { type: 'reasoning', reasoning: 'hm' }, reasoning('hm')],
    [
      'thinking of Anthropic',
      { type: 'thinking', thinking: 'hm', signature: 's' },
      reasoning('hm'),
    ],
    [
      'reasoning of Bedrock',
      { type: 'reasoning_content', reasoningText: { text: 'hm' } },
      reasoning('hm'),
    ],
    [
      'a summary of OpenAI',
      { type: 'reasoning', summary: [{ text: 'h' }, { text: 'm' }] },
      reasoning('hm'),
    ],
    ['a refusal', { type: 'refusal', refusal: 'no' }, { __typename: 'RefusalBlock', text: 'no' }],
    ['an image', { type: 'image', ...PNG }, media('IMAGE', PNG)],
    ['an image by URL', { type: 'image', url: URL }, media('IMAGE', { url: URL })],
    ['an image by id', { type: 'image', fileId: 'f' }, media('IMAGE', { fileId: 'f' })],
    [
      'an image in the form before version 1',
      { type: 'image', source_type: 'base64', data: PNG.data, mime_type: PNG.mimeType },
      media('IMAGE', PNG),
    ],
    [
      'a sound by id in the form before version 1',
      { type: 'audio', source_type: 'id', id: 'f' },
      media('AUDIO', { fileId: 'f' }),
    ],
    [
      'an image of OpenAI',
      { type: 'image_url', image_url: { url: URL } },
      media('IMAGE', { url: URL }),
    ],
    [
      'an image of OpenAI in a data URL',
      { type: 'image_url', image_url: { url: `data:image/png;base64,${PNG.data}` } },
      media('IMAGE', PNG),
    ],
    ['an image_url as a text', { type: 'image_url', image_url: URL }, media('IMAGE', { url: URL })],
    [
      'an image of the Responses API',
      { type: 'input_image', image_url: URL },
      media('IMAGE', { url: URL }),
    ],
    [
      'a sound of OpenAI',
      { type: 'input_audio', input_audio: { data: 'UklG', format: 'wav' } },
      media('AUDIO', { data: 'UklG', mimeType: 'audio/wav' }),
    ],
    [
      'an image of Anthropic',
      { type: 'image', source: { type: 'base64', media_type: PNG.mimeType, data: PNG.data } },
      media('IMAGE', PNG),
    ],
    [
      'an image of Anthropic by URL',
      { type: 'image', source: { type: 'url', url: URL } },
      media('IMAGE', { url: URL }),
    ],
    [
      'a video of Google',
      { type: 'media', mimeType: 'video/mp4', fileUri: URL },
      media('VIDEO', { url: URL, mimeType: 'video/mp4' }),
    ],
    ['a document of Google', { type: 'media', ...PDF }, file(PDF)],
    ['a file', { type: 'file', ...PDF }, file(PDF)],
    [
      'a file of OpenAI',
      {
        type: 'file',
        file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${PDF.data}` },
      },
      file({ fileName: 'a.pdf', ...PDF }),
    ],
    [
      'a file of the Responses API',
      { type: 'input_file', filename: 'a.pdf', file_id: 'f' },
      file({ fileName: 'a.pdf', fileId: 'f' }),
    ],
    [
      'a document of Anthropic',
      { type: 'document', title: 'A', source: { type: 'file', file_id: 'f' } },
      file({ fileName: 'A', fileId: 'f' }),
    ],
    [
      'a document with text',
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'a' } },
      file({ plainText: 'a', mimeType: 'text/plain' }),
    ],
    ['a file with text', { type: 'text-plain', text: 'a' }, file({ plainText: 'a' })],
    [
      'a tool call',
      { type: 'tool_call', id: 'c', name: 'find', args },
      call({ toolCallId: 'c', args }),
    ],
    [
      'a tool call of Anthropic',
      { type: 'tool_use', id: 'c', name: 'find', input: args },
      call({ toolCallId: 'c', args }),
    ],
    ['an image without a source', { type: 'image' }, UNKNOWN],
    ['a text without a text', { type: 'text', text: 7 }, UNKNOWN],
    ['another type', { type: 'redacted_thinking', data: 'x' }, UNKNOWN],
  ])('reads %s', async ([, stored, shown], { client }) => {
    expect(await blockOf(client, stored)).toEqual(shown);
  });

  it('is a text for each text of the content, and unknown for other values', async ({ client }) => {
    const plain = { ...text('a'), type: 'text', value: 'a' };
    const unknown = (value: unknown) => ({ ...UNKNOWN, type: '', value });
    expect(
      await blocksOf(client, [
        { content: 'a' },
        { content: '' },
        { content: ['a', null, 1, ['b']] },
        { content: null },
        { content: { a: 1 } },
      ]),
    ).toEqual([
      [plain],
      [],
      [plain, unknown(null), unknown(1), unknown(['b'])],
      [],
      [unknown({ a: 1 })],
    ]);
  });

  it('has the reasoning that a provider keeps beside the content, before the answer', async ({
    client,
  }) => {
    const shown = await blocksOf(client, [
      { content: 'a', additional_kwargs: { reasoning_content: 'hm' } },
      {
        content: [{ type: 'text', text: 'a' }],
        additional_kwargs: { reasoning: { summary: [{ text: 'hm' }] } },
      },
      {
        content: [{ type: 'reasoning', reasoning: 'own' }],
        additional_kwargs: { reasoning_content: 'hm' },
      },
      { content: 'a', additional_kwargs: { reasoning_content: 7, reasoning: 'x' } },
    ]);
    expect(
      shown.map((blocks) =>
        blocks.map(({ __typename, ...block }) => [__typename, 'text' in block && block.text]),
      ),
    ).toEqual([
      [
        ['ReasoningBlock', 'hm'],
        ['TextBlock', 'a'],
      ],
      [
        ['ReasoningBlock', 'hm'],
        ['TextBlock', 'a'],
      ],
      [['ReasoningBlock', 'own']],
      [['TextBlock', 'a']],
    ]);
  });

  it('is read whatever JSON its fields hold', async ({ client }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(block, { maxLength: 40 }), async (content) => {
        const [blocks] = await blocksOf(client, [{ content }]);
        expect(blocks?.map(({ value }) => value)).toEqual(JSON.parse(JSON.stringify(content)));
      }),
      { numRuns: 20 },
    );
  }, 300_000);
});

const json = fc.jsonValue({ maxDepth: 2 });
const types = fc.constantFrom(
  'text',
  'reasoning',
  'refusal',
  'image',
  'image_url',
  'input_audio',
  'media',
  'file',
  'document',
  'text-plain',
  'tool_use',
);
const key = fc.constantFrom(
  'text',
  'reasoning',
  'summary',
  'refusal',
  'url',
  'data',
  'mimeType',
  'source',
  'image_url',
  'input_audio',
  'file',
  'filename',
  'id',
  'name',
);
const block = fc.oneof(
  json,
  fc
    .tuple(types, fc.dictionary(key, json, { noNullPrototype: true }))
    .map(([type, fields]) => ({ type, ...fields })),
);
