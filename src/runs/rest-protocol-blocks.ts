import type { PlainMessage } from '../checkpoints/plain.ts';
import { isRecord } from '../json.ts';

/** A part of a message, or of a piece of a message. Pieces with the same key belong to the same block. */
type Piece =
  | { kind: 'text'; key: string; text: string }
  | { kind: 'reasoning'; key: string; text: string }
  | { kind: 'tool'; key: string; id: string | null; name: string | null; args: string }
  | { kind: 'other'; key: string; content: Record<string, unknown> };

/** A content block of a message so far. */
export interface Block {
  index: number;
  /** With the text or the arguments so far. */
  piece: Piece;
  isFinished: boolean;
}

export type BlockEvent = { event: string; index: number } & Record<string, unknown>;

/** The same calls are in `tool_calls` or `tool_call_chunks`. */
const TOOL_BLOCKS = new Set([
  'tool_use',
  'input_json_delta',
  'tool_call',
  'tool_call_chunk',
  'function_call',
  'functionCall',
]);

/** The parts of a message in their order. */
export function piecesOf(message: PlainMessage): Piece[] {
  const { content, additional_kwargs: more } = message;
  const reasoning = more['reasoning_content'];
  return [
    ...(typeof reasoning === 'string' ? textPiece('reasoning', '', reasoning) : []),
    ...(typeof content === 'string' ? textPiece('text', '', content) : blocksIn(content)),
    ...toolPieces(message),
  ];
}

function textPiece(kind: 'text' | 'reasoning', index: string, text: unknown): Piece[] {
  if (typeof text !== 'string' || text === '') return [];
  return [{ kind, key: `${kind}:${index}`, text }];
}

function blocksIn(content: unknown): Piece[] {
  if (!Array.isArray(content)) return [];
  return content.flatMap((block: unknown, position): Piece[] => {
    if (typeof block === 'string') return textPiece('text', '', block);
    if (!isRecord(block)) return [];
    const { type, text, thinking, reasoning } = block;
    if (type === 'text') return textPiece('text', indexOf(block, ''), text);
    if (type === 'thinking' || type === 'reasoning') {
      return textPiece('reasoning', indexOf(block, ''), thinking ?? reasoning);
    }
    if (typeof type !== 'string' || TOOL_BLOCKS.has(type)) return [];
    return [{ kind: 'other', key: `other:${indexOf(block, String(position))}`, content: block }];
  });
}

function indexOf({ index }: Record<string, unknown>, missing: string): string {
  return typeof index === 'number' || typeof index === 'string' ? String(index) : missing;
}

function toolPieces({ tool_call_chunks: chunks, tool_calls: calls }: PlainMessage): Piece[] {
  const found = Array.isArray(chunks) && chunks.length > 0 ? chunks : calls;
  if (!Array.isArray(found)) return [];
  return found.filter(isRecord).map((call, position) => {
    const { id, name, args } = call;
    return {
      kind: 'tool',
      key: `tool:${indexOf(call, String(position))}`,
      id: typeof id === 'string' ? id : null,
      name: typeof name === 'string' ? name : null,
      args: typeof args === 'string' ? args : args == null ? '' : JSON.stringify(args),
    };
  });
}

/** Adds a piece to its block. Another block ends before: the blocks of a message do not overlap. */
export function* addPiece(blocks: Map<string, Block>, piece: Piece): Generator<BlockEvent> {
  let block = blocks.get(piece.key);
  if (!block) {
    yield* finishBlocks(blocks);
    block = { index: blocks.size, piece: emptied(piece), isFinished: false };
    blocks.set(piece.key, block);
    yield { event: 'content-block-start', index: block.index, content: contentOf(block.piece) };
    if (piece.kind === 'other') return;
  }
  block.piece = joined(block.piece, piece);
  block.isFinished = false;
  const delta = deltaOf(block.piece, piece);
  if (delta) yield { event: 'content-block-delta', index: block.index, delta };
}

/** Ends the blocks that have not ended. */
export function* finishBlocks(blocks: ReadonlyMap<string, Block>): Generator<BlockEvent> {
  for (const block of blocks.values()) {
    if (block.isFinished) continue;
    block.isFinished = true;
    yield { event: 'content-block-finish', index: block.index, content: finalOf(block.piece) };
  }
}

function emptied(piece: Piece): Piece {
  if (piece.kind === 'tool') return { ...piece, args: '' };
  return piece.kind === 'other' ? piece : { ...piece, text: '' };
}

function joined(before: Piece, piece: Piece): Piece {
  if (before.kind === 'tool' && piece.kind === 'tool') {
    const { id, name, args } = before;
    return { ...before, id: id ?? piece.id, name: name ?? piece.name, args: args + piece.args };
  }
  if (before.kind === 'other' && piece.kind === 'other') {
    return { ...before, content: { ...before.content, ...piece.content } };
  }
  const text = 'text' in before && 'text' in piece ? before.text + piece.text : '';
  return { ...before, text } as Piece;
}

function contentOf(piece: Piece): Record<string, unknown> {
  if (piece.kind === 'text') return { type: 'text', text: piece.text };
  if (piece.kind === 'reasoning') return { type: 'reasoning', reasoning: piece.text };
  if (piece.kind === 'other') return piece.content;
  const { id, name, args } = piece;
  return { type: 'tool_call_chunk', id, name, args };
}

/** Clients before version 0.0.21 of the protocol know no delta for arguments: each piece brings the arguments so far. */
function deltaOf(whole: Piece, piece: Piece): Record<string, unknown> | undefined {
  if (piece.kind === 'text') return { type: 'text-delta', text: piece.text };
  if (piece.kind === 'reasoning') return { type: 'reasoning-delta', reasoning: piece.text };
  if (piece.kind === 'tool' && piece.args === '') return undefined;
  return { type: 'block-delta', fields: contentOf(whole) };
}

function finalOf(piece: Piece): Record<string, unknown> {
  if (piece.kind !== 'tool') return contentOf(piece);
  const { id, name, args: text } = piece;
  const args = parsed(text === '' ? '{}' : text);
  if (isRecord(args)) return { type: 'tool_call', id, name, args };
  return {
    type: 'invalid_tool_call',
    id,
    name,
    args: text,
    error: 'The arguments are not a JSON object.',
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
