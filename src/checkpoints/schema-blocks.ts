import { builder } from '../graphql/builder.ts';
import { blocksIn, type Block, type BlockOf, type Source } from './blocks.ts';
import { MessageRef } from './schema-messages.ts';

const NAMES: Record<Block['kind'], string> = {
  TEXT: 'TextBlock',
  REASONING: 'ReasoningBlock',
  REFUSAL: 'RefusalBlock',
  MEDIA: 'MediaBlock',
  FILE: 'FileBlock',
  TOOL_CALL: 'ToolCallBlock',
  UNKNOWN: 'UnknownBlock',
};

const ContentBlockRef = builder
  .interfaceRef<Pick<Block, 'kind' | 'type' | 'value'>>('ContentBlock')
  .implement({
    description:
      "A part of the content of a message, read from LangChain's standard form or from the form of a provider.",
    resolveType: ({ kind }) => NAMES[kind],
    fields: (t) => ({
      type: t.exposeString('type', {
        description: 'The stored type, such as text or image_url; empty if it is missing.',
      }),
      value: t.field({
        type: 'JSON',
        nullable: true,
        description: 'The block as stored.',
        resolve: ({ value }) => value,
      }),
    }),
  });

builder.objectRef<BlockOf<'TEXT'>>('TextBlock').implement({
  description: 'A text, in Markdown as most models write it.',
  interfaces: [ContentBlockRef],
  fields: (t) => ({
    text: t.exposeString('text'),
    annotations: t.field({
      type: ['JSONObject'],
      description: 'Citations and other annotations, as stored.',
      resolve: ({ annotations }) => annotations,
    }),
  }),
});

builder.objectRef<BlockOf<'REASONING'>>('ReasoningBlock').implement({
  description: 'The text of the reasoning (thinking) of a model, or of its summary.',
  interfaces: [ContentBlockRef],
  fields: (t) => ({ text: t.exposeString('text') }),
});

builder.objectRef<BlockOf<'REFUSAL'>>('RefusalBlock').implement({
  description: 'The text of a model that refuses the request.',
  interfaces: [ContentBlockRef],
  fields: (t) => ({ text: t.exposeString('text') }),
});

const MediaKind = builder.enumType('MediaKind', {
  description: 'Kind of a medium.',
  values: { IMAGE: {}, AUDIO: {}, VIDEO: {} } as const,
});

/** A block with bytes. */
const SourceRef = builder.interfaceRef<Source>('ContentSource').implement({
  description: 'The place of the bytes of a block.',
  fields: (t) => ({
    url: t.exposeString('url', { nullable: true, description: 'Address of the bytes.' }),
    data: t.exposeString('data', {
      nullable: true,
      description: 'The bytes in base64, also from a data: URL.',
    }),
    mimeType: t.exposeString('mimeType', {
      nullable: true,
      description: 'Media type, such as image/png.',
    }),
    fileId: t.exposeString('fileId', {
      nullable: true,
      description: 'Id of a file at the provider of the model.',
    }),
  }),
});

builder.objectRef<BlockOf<'MEDIA'>>('MediaBlock').implement({
  description: 'An image, a sound or a video. One of url, data and fileId is present.',
  interfaces: [ContentBlockRef, SourceRef],
  fields: (t) => ({ kind: t.expose('media', { type: MediaKind }) }),
});

builder.objectRef<BlockOf<'FILE'>>('FileBlock').implement({
  description: 'A file. One of url, data, fileId and plainText is present.',
  interfaces: [ContentBlockRef, SourceRef],
  fields: (t) => ({
    fileName: t.exposeString('fileName', { nullable: true, description: 'Name or title.' }),
    plainText: t.exposeString('plainText', {
      nullable: true,
      description: 'The content of a file that is stored as text.',
    }),
  }),
});

builder.objectRef<BlockOf<'TOOL_CALL'>>('ToolCallBlock').implement({
  description: 'The place of a tool call in the content. Message.toolCalls has all complete calls.',
  interfaces: [ContentBlockRef],
  fields: (t) => ({
    toolCallId: t.exposeID('toolCallId', { nullable: true }),
    name: t.exposeString('name', { description: 'Name of the tool.' }),
    args: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Arguments of the call, by name; incomplete in a chunk.',
      resolve: ({ args }) => args,
    }),
  }),
});

builder.objectRef<BlockOf<'UNKNOWN'>>('UnknownBlock').implement({
  description: 'A block of any other form: see value.',
  interfaces: [ContentBlockRef],
});

builder.objectField(MessageRef, 'blocks', (t) =>
  t.field({
    type: [ContentBlockRef],
    description:
      'The content as typed blocks. A text is one TextBlock; an empty text has no block. Reasoning that a provider stores beside the content comes first.',
    resolve: ({ message }) => blocksIn(message),
  }),
);
