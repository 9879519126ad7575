import { isRecord, recordOf } from '../json.ts';
import { idOrNull, recordsIn, textOr } from './message.ts';
import type { PlainMessage } from './plain.ts';

// Content blocks in LangChain's standard form (version 1 and the form before it), and in the forms of OpenAI, Anthropic and Google.
// A field of the wrong type reads as missing. A block without its own content reads as unknown.

/** A content block for the fields of its type. */
export type Block = StoredBlock & Content;

interface StoredBlock {
  /** The stored type; empty if it is missing. */
  type: string;
  /** The block as stored. */
  value: unknown;
}

type Content =
  | { kind: 'TEXT'; text: string; annotations: Stored[] }
  | { kind: 'REASONING'; text: string }
  | { kind: 'REFUSAL'; text: string }
  | ({ kind: 'MEDIA'; media: MediaKind } & Source)
  | ({ kind: 'FILE'; fileName: string | null; plainText: string | null } & Source)
  | { kind: 'TOOL_CALL'; toolCallId: string | null; name: string; args: unknown }
  | { kind: 'UNKNOWN' };

type Stored = Record<string, unknown>;

export type BlockOf<Kind extends Block['kind']> = Extract<Block, { kind: Kind }>;

export type MediaKind = 'IMAGE' | 'AUDIO' | 'VIDEO';

/** The place of the bytes of a medium or a file. */
export interface Source {
  url: string | null;
  /** In base64. */
  data: string | null;
  mimeType: string | null;
  /** The id of the file at the provider. */
  fileId: string | null;
}

/** The content blocks of a message. A text is one block; an empty text has none. */
export function blocksIn({ content, additional_kwargs: beside }: PlainMessage): Block[] {
  if (typeof content === 'string' && content !== '')
    return [...reasoningIn(beside), textBlock(content)];
  if (!Array.isArray(content)) {
    const others = content == null || content === '' ? [] : [blockOf(content)];
    return [...reasoningIn(beside), ...others];
  }
  const blocks = content.map(blockOf);
  const hasReasoning = blocks.some(({ kind }) => kind === 'REASONING');
  return hasReasoning ? blocks : [...reasoningIn(beside), ...blocks];
}

function textBlock(text: string): Block {
  return { kind: 'TEXT', type: 'text', value: text, text, annotations: [] };
}

function blockOf(value: unknown): Block {
  if (typeof value === 'string') return textBlock(value);
  if (!isRecord(value)) return { kind: 'UNKNOWN', type: '', value };
  const type = textOr('', value['type']);
  return { type, value, ...(contentOf(type, value) ?? { kind: 'UNKNOWN' }) };
}

/** Providers that keep the reasoning beside the content: DeepSeek and others as a text, OpenAI as a summary in parts. */
function reasoningIn(beside: unknown): Block[] {
  const { reasoning_content: whole, reasoning } = recordOf(beside);
  const text = textOr(null, whole) ?? joinTexts(recordOf(reasoning)['summary']);
  if (!text) return [];
  return [{ kind: 'REASONING', type: 'reasoning', value: reasoning ?? whole, text }];
}

// ── The types of blocks ──────────────────────────────────────────────────────────────────────

const MEDIA: ReadonlyMap<string, MediaKind> = new Map([
  ['image', 'IMAGE'],
  ['image_url', 'IMAGE'],
  ['input_image', 'IMAGE'],
  ['audio', 'AUDIO'],
  ['input_audio', 'AUDIO'],
  ['video', 'VIDEO'],
]);

/** Undefined: the type is unknown, or the block lacks its content. */
function contentOf(type: string, block: Stored): Content | undefined {
  switch (type) {
    case '':
    case 'text':
    case 'text_delta':
    case 'input_text':
    case 'output_text':
      return textContent(block);
    case 'reasoning':
    case 'reasoning_content':
    case 'thinking':
    case 'thinking_delta':
      return reasoningContent(block);
    case 'refusal': {
      const text = textOr(undefined, block['refusal']);
      return text === undefined ? undefined : { kind: 'REFUSAL', text };
    }
    case 'tool_call':
    case 'tool_use':
    case 'server_tool_call':
    case 'server_tool_use':
      return toolCallContent(block);
    case 'file':
    case 'input_file':
    case 'document':
    case 'text-plain':
      return fileContent(block);
    default:
      return mediaContent(type, block);
  }
}

function textContent(block: Stored): Content | undefined {
  const text = textOr(undefined, block['text']);
  if (text === undefined) return undefined;
  return { kind: 'TEXT', text, annotations: recordsIn(block['annotations'] ?? block['citations']) };
}

function reasoningContent(block: Stored): Content | undefined {
  const { reasoning, thinking, reasoningText, summary } = block;
  const nested = recordOf(reasoningText)['text'];
  const text = [reasoning, thinking, reasoningText, nested]
    .map((each) => textOr(undefined, each))
    .find((each) => each !== undefined);
  const shown = text ?? joinTexts(summary);
  return shown === undefined ? undefined : { kind: 'REASONING', text: shown };
}

/** The texts of the parts of a summary. Undefined for any other value. */
function joinTexts(parts: unknown): string | undefined {
  if (!Array.isArray(parts)) return undefined;
  return recordsIn(parts)
    .map(({ text }) => textOr('', text))
    .join('');
}

function toolCallContent({ id, name, args, input }: Stored): Content | undefined {
  if (typeof name !== 'string') return undefined;
  return { kind: 'TOOL_CALL', toolCallId: idOrNull(id), name, args: args ?? input ?? null };
}

function fileContent(block: Stored): Content | undefined {
  const { file, source } = block;
  const isText = block['source_type'] === 'text' || block['type'] === 'text-plain';
  const ofSource = recordOf(source)['type'] === 'text' ? recordOf(source)['data'] : undefined;
  const plainText = textOr(null, isText ? block['text'] : ofSource);
  const found = sourceIn(block);
  const shown = ofSource === undefined ? found : { ...found, data: null };
  if (!hasSource(shown) && plainText === null) return undefined;
  const names = [recordOf(file)['filename'], block['filename'], block['title']];
  const fileName = names.map((name) => textOr(null, name)).find((name) => name !== null) ?? null;
  return { kind: 'FILE', fileName, plainText, ...shown };
}

function mediaContent(type: string, block: Stored): Content | undefined {
  const source = sourceIn(block);
  const media = type === 'media' ? mediaOf(source.mimeType) : MEDIA.get(type);
  if (!hasSource(source)) return undefined;
  if (media) return { kind: 'MEDIA', media, ...source };
  if (type !== 'media') return undefined;
  return { kind: 'FILE', fileName: null, plainText: null, ...source };
}

/** The kind of Google's blocks of type `media`. Undefined: a file. */
function mediaOf(mimeType: string | null): MediaKind | undefined {
  return MEDIA.get(mimeType?.split('/')[0] ?? '');
}

// ── Sources ──────────────────────────────────────────────────────────────────────────────────

function hasSource({ url, data, fileId }: Source): boolean {
  return url !== null || data !== null || fileId !== null;
}

/** The source of a block, from the block itself or from the object where a provider keeps it. */
function sourceIn(block: Stored): Source {
  const { source, image_url: image, input_audio: audio, file } = block;
  const url = textOr(undefined, image) ?? recordOf(image)['url'];
  const nested = [source, audio, file].find(isRecord) ?? {};
  const all: Stored = { ...block, ...nested, ...(url !== undefined && { url }) };
  const isId = block['source_type'] === 'id';
  const found = {
    url: firstText(all['url'], all['fileUri']),
    data: firstText(all['data'], all['file_data']),
    mimeType: firstText(all['mimeType'], all['mime_type'], all['media_type']) ?? audioType(audio),
    fileId: firstText(all['fileId'], all['file_id'], isId ? block['id'] : undefined),
  };
  return { ...found, ...dataUrlIn(found.url ?? found.data) };
}

function firstText(...values: unknown[]): string | null {
  return values.map((value) => textOr(null, value)).find((text) => text !== null) ?? null;
}

function audioType(audio: unknown): string | null {
  const format = textOr(null, recordOf(audio)['format']);
  return format === null ? null : `audio/${format}`;
}

const LONGEST_START = 200;

/** The media type and the bytes of a data URL. Undefined for any other text. */
function dataUrlIn(text: string | null): Partial<Source> | undefined {
  const [start, mimeType] =
    /^data:([^;,]*)[^,]*;base64,/.exec(text?.slice(0, LONGEST_START) ?? '') ?? [];
  if (start === undefined) return undefined;
  return { url: null, data: text?.slice(start.length) ?? null, mimeType: mimeType || null };
}
