import { recordOf } from '../json.ts';

/** The status of a task or subgraph. */
export interface NamespaceEvent {
  namespace: readonly string[];
  data: Record<string, unknown>;
}

interface Known {
  namespace: readonly string[];
  name: string;
  isRunning: boolean;
}

/** What started tasks say about the namespaces below them. */
function createOrigins() {
  /** The call of a tool that started a task, by the id of the task. */
  const toolCalls = new Map<string, string>();
  /** The names of agents, by namespace. */
  const agents = new Map<string, string>();

  return {
    observe(namespace: readonly string[], task: Record<string, unknown>): void {
      const key = namespace.join('|');
      const agent = recordOf(task['metadata'])['lc_agent_name'];
      if (typeof agent === 'string' && agent !== '' && !agents.has(key)) agents.set(key, agent);
      const { id } = recordOf(recordOf(task['input'])['tool_call']);
      if (typeof id === 'string') toolCalls.set(String(task['id']), id);
    },
    /** The name of a namespace, and for an agent the call of a tool that started it. */
    of(path: readonly string[]): { name: string; toolCallId: string | undefined } {
      const [node = '', taskId = ''] = (path.at(-1) ?? '').split(':');
      const agent = agents.get(path.join('|'));
      if (agent === undefined) return { name: node, toolCallId: undefined };
      return { name: agent, toolCallId: toolCalls.get(taskId) };
    },
  };
}

/**
 * Follows the tasks and subgraphs of a run: each starts with its first event, and ends with the result of its task or with the
 * run. `hasTasks`: the run records the results of tasks; otherwise the update of a node ends its task.
 */
export function createNamespaces({ hasTasks }: { hasTasks: boolean }) {
  const known = new Map<string, Known>();
  const origins = createOrigins();

  function* end(found: Known | undefined, event: string): Generator<NamespaceEvent> {
    if (!found?.isRunning) return;
    found.isRunning = false;
    yield { namespace: found.namespace, data: { event, graph_name: found.name } };
  }

  return {
    /** Before an event of a namespace: the start of the namespace and of those above it. */
    *start(namespace: readonly string[]): Generator<NamespaceEvent> {
      for (let depth = 1; depth <= namespace.length; depth += 1) {
        const path = namespace.slice(0, depth);
        const key = path.join('|');
        if (known.has(key)) continue;
        const { name, toolCallId } = origins.of(path);
        known.set(key, { namespace: path, name, isRunning: true });
        const cause = { type: 'toolCall', tool_call_id: toolCallId };
        const data = {
          event: 'started',
          graph_name: name,
          ...(toolCallId !== undefined && { cause }),
        };
        yield { namespace: path, data };
      }
    },
    /** Before the events of a started task. */
    observe: origins.observe,
    /** After the result of a task. `path`: the namespace of the task. */
    endTask: (path: readonly string[]) => end(known.get(path.join('|')), 'completed'),
    /** After the update of a node. */
    *endNode(namespace: readonly string[], node: string): Generator<NamespaceEvent> {
      if (hasTasks) return;
      const start = [...namespace, `${node}:`].join('|');
      const depth = namespace.length + 1;
      const found = Array.from(known.values()).find(
        ({ namespace: path, isRunning }) =>
          isRunning && path.length === depth && path.join('|').startsWith(start),
      );
      yield* end(found, 'completed');
    },
    /** At the end of the run. */
    *endAll(event: string): Generator<NamespaceEvent> {
      for (const each of known.values()) yield* end(each, event);
    },
    /** A further attempt starts its tasks again. */
    forget: () => known.clear(),
  };
}
