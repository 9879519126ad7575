import { mergeUsageMetadata, type UsageMetadata } from '@langchain/core/messages';
import type { PlainMessage } from '../checkpoints/plain.ts';
import { wireValue } from '../checkpoints/rest-values.ts';
import type { StoredEvent } from '../events/event.ts';
import { isRecord, recordOf } from '../json.ts';
import {
  addPiece,
  finishBlocks,
  piecesOf,
  type Block,
  type BlockEvent,
} from './rest-protocol-blocks.ts';

/** An event of a message. */
export interface MessageEvent {
  namespace: readonly string[];
  node: string | undefined;
  data: object;
}

/** A message whose end no event has shown. */
interface OpenMessage {
  id: string;
  namespace: string[];
  node: string | undefined;
  /** Tells messages apart that a node streams at the same time. */
  runId: string;
  blocks: Map<string, Block>;
  usage: UsageMetadata | undefined;
  responseMetadata: Record<string, unknown>;
}

/** Messages of other types are in the values only. */
const ROLES = new Set(['ai', 'human', 'system']);

/**
 * Makes the events of messages from MESSAGES events: the start of a message, its content blocks with their pieces, and its end.
 * The next MESSAGES event names the streamed messages that have ended before it; the last ones end with their task.
 */
export function createMessageEvents() {
  const open = new Map<string, OpenMessage>();

  function* start(event: StoredEvent, message: PlainMessage): Generator<MessageEvent, OpenMessage> {
    const metadata = recordOf(recordOf(event.data)['metadata']);
    const node = metadata['langgraph_node'];
    const started: OpenMessage = {
      id: String(message.id),
      namespace: namespaceOfMessage(event),
      node: typeof node === 'string' ? node : undefined,
      runId: String(message.id).replace(/^run-/, ''),
      blocks: new Map(),
      usage: undefined,
      responseMetadata: {},
    };
    const model = modelIn(metadata);
    yield eventOf(started, {
      event: 'message-start',
      role: message.type,
      id: message.id,
      ...(Object.keys(model).length > 0 && { metadata: model }),
    });
    return started;
  }

  function* finish(isOver: (message: OpenMessage) => boolean): Generator<MessageEvent> {
    for (const [key, message] of open) {
      if (!isOver(message)) continue;
      open.delete(key);
      yield* end(message);
    }
  }

  return {
    *of(event: StoredEvent): Generator<MessageEvent> {
      const { message: plain, isChunk, ended } = recordOf(event.data);
      if (Array.isArray(ended)) yield* finish(({ id }) => ended.includes(id));
      const message = wireValue(plain) as PlainMessage;
      if (!ROLES.has(message.type) || message.id == null) return;
      const key = JSON.stringify([namespaceOfMessage(event), message.id]);
      const known = open.get(key);
      const current = known ?? (yield* start(event, message));
      for (const piece of piecesOf(message)) {
        for (const block of addPiece(current.blocks, piece)) yield eventOf(current, block);
      }
      addMetadata(current, message);
      if (isChunk === true && message.type === 'ai') open.set(key, current);
      else {
        open.delete(key);
        yield* end(current);
      }
    },
    /** Ends the messages of a namespace and those below it. */
    finish: (namespace: readonly string[]) =>
      finish((message) => namespace.every((name, i) => message.namespace[i] === name)),
    /** The attempt of the run has ended without the ends of its messages. */
    forget: () => open.clear(),
  };
}

function* end(message: OpenMessage): Generator<MessageEvent> {
  for (const block of finishBlocks(message.blocks)) yield eventOf(message, block);
  const { usage, responseMetadata } = message;
  const reason = responseMetadata['finish_reason'] ?? responseMetadata['stop_reason'];
  yield eventOf(message, {
    event: 'message-finish',
    ...(usage && { usage }),
    ...(typeof reason === 'string' && { reason }),
    ...(Object.keys(responseMetadata).length > 0 && { responseMetadata }),
  });
}

function eventOf(
  { namespace, node, runId }: OpenMessage,
  data: BlockEvent | Record<string, unknown>,
): MessageEvent {
  return { namespace, node, data: { ...data, run_id: runId } };
}

function addMetadata(
  open: OpenMessage,
  { usage_metadata: usage, response_metadata }: PlainMessage,
): void {
  if (isRecord(usage)) {
    open.usage = mergeUsageMetadata(open.usage, usage as unknown as UsageMetadata);
  }
  open.responseMetadata = { ...open.responseMetadata, ...response_metadata };
}

/** A message belongs to the namespace of its task. */
export function namespaceOfMessage({ namespace, data }: StoredEvent): string[] {
  const { langgraph_checkpoint_ns: task } = recordOf(recordOf(data)['metadata']);
  return typeof task === 'string' && task !== '' ? task.split('|') : [...namespace];
}

const MODEL_KEYS = { ls_provider: 'provider', ls_model_name: 'model', ls_model_type: 'model_type' };

function modelIn(metadata: Record<string, unknown>): Record<string, string> {
  const found = Object.entries(MODEL_KEYS).flatMap(([key, name]) => {
    const value = metadata[key];
    return typeof value === 'string' ? [[name, value] as const] : [];
  });
  return Object.fromEntries(found);
}
