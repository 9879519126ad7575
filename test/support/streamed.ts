import { setImmediate as nextTurn } from 'node:timers/promises';
import { MemorySaver } from '@langchain/langgraph-checkpoint';
import { isMessage, toPlain } from '../../src/checkpoints/plain.ts';
import type { CompiledGraph } from '../../src/graphs/load.ts';
import { isRecord } from '../../src/json.ts';
import { randomId } from './app.ts';

/** A chunk of LangGraph's stream. */
export type Streamed = [namespace: string[], mode: string, payload: unknown];

/** Waits for a moment, like a database: when a graph throws, LangGraph drops the unread chunks. */
class SlowSaver extends MemorySaver {
  override async put(...args: Parameters<MemorySaver['put']>) {
    await nextTurn();
    return super.put(...args);
  }

  override async putWrites(...args: Parameters<MemorySaver['putWrites']>) {
    await nextTurn();
    return super.putWrites(...args);
  }
}

/** LangGraph's own stream of a graph and its subgraphs, with every mode, until the graph ends or throws. */
export async function streamInProcess(
  graph: unknown,
  input: unknown,
  options: Record<string, unknown> = {},
): Promise<Streamed[]> {
  const streamed: Streamed[] = [];
  try {
    const chunks = await (graph as CompiledGraph).stream(input, {
      configurable: { thread_id: randomId(), __pregel_checkpointer: new SlowSaver() },
      streamMode: ['values', 'updates', 'messages', 'custom', 'tasks', 'checkpoints'],
      subgraphs: true,
      ...options,
    });
    for await (const chunk of chunks as AsyncIterable<Streamed>) {
      // An interrupt has an event of its own.
      if (!Object.hasOwn(Object(chunk[2]), '__interrupt__')) streamed.push(asShown(chunk));
    }
  } catch {
    // The stream ends with the graph.
  }
  return streamed;
}

function asShown([namespace, mode, payload]: Streamed): Streamed {
  if (mode === 'messages') return [namespace, mode, messageOf((payload as unknown[])[0])];
  const { config: _config, parentConfig: _parent, ...data } = payload as Record<string, unknown>;
  if (mode === 'tasks') delete data['metadata'];
  return [namespace, mode, toPlain(data)];
}

interface ToolCall {
  id: string;
  name: string;
  args: unknown;
}

/** A message like in the API, with the fields of the tests' documents. */
function messageOf(message: unknown) {
  if (!isMessage(message)) throw new Error('No message.');
  const { tool_calls: toolCalls = [], tool_call_id: toolCallId = null } = message as {
    tool_calls?: ToolCall[];
    tool_call_id?: string | null;
  };
  const { id, name = null, text } = message;
  return {
    messageId: id,
    type: message.getType().toUpperCase(),
    name,
    text,
    toolCallId,
    toolCalls: toolCalls.map((call) => ({
      toolCallId: call.id,
      name: call.name,
      args: call.args,
    })),
  };
}

/** Replaces each id by the place of its first appearance: ids differ between runs. */
export function withoutIds<T>(value: T): T {
  const places = new Map<string, string>();
  // LangGraph makes the ids of some messages from the id of its run.
  const ids =
    /(?:run-)?[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}(?:-(?:out|tool)-[\w-]+)?|[\da-f]{32}/g;
  const text = JSON.stringify(value, inKeyOrder).replaceAll(ids, (id) => {
    if (!places.has(id)) places.set(id, `#${places.size}`);
    return String(places.get(id));
  });
  return JSON.parse(text);
}

function inKeyOrder(_key: string, value: unknown): unknown {
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => a.localeCompare(b)));
}
