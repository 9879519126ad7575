import { isSchema, shapeOf, type JsonSchema } from '../../../ui/forms/shape.ts';

/** A question of a graph, as it waits for an answer. */
export interface Question {
  id: string;
  /** The value that the node passed to interrupt(). */
  value: unknown;
  node: string;
  responseSchema: JsonSchema | null;
  /** The path of the subgraph; empty for the graph itself. */
  checkpointNamespace?: string;
  createdAt: string;
}

export interface QuestionParts {
  /** What the node asks, in words. */
  text: string | undefined;
  /** The calls of tools that wait for a decision. */
  calls: readonly { name: string; args: unknown }[];
  /** The other fields of the value. */
  fields: readonly (readonly [name: string, value: unknown])[];
}

const TEXTS = ['question', 'message', 'prompt', 'text', 'title', 'description'];
const CALLS = [
  'toolCall',
  'tool_call',
  'toolCalls',
  'tool_calls',
  'action_request',
  'actionRequests',
  'action_requests',
];

/** The parts of a question that a person can read. */
export function partsOf(value: unknown): QuestionParts {
  if (typeof value === 'string') return { text: value, calls: [], fields: [] };
  if (Array.isArray(value) && value.length > 0) {
    const parts = value.map(partsOf);
    if (parts.every(({ calls }) => calls.length > 0)) {
      return {
        text: parts.flatMap(({ text }) => text ?? []).join('\n') || undefined,
        calls: parts.flatMap(({ calls }) => calls),
        fields: [],
      };
    }
  }
  if (!isSchema(value)) return { text: undefined, calls: [], fields: [['value', value]] };
  const name = TEXTS.find((each) => typeof value[each] === 'string');
  const named = CALLS.filter((each) => callsOf(value[each]).length > 0);
  return {
    text: name && (value[name] as string),
    calls: named.flatMap((each) => callsOf(value[each])),
    fields: Object.entries(value).filter(([key]) => key !== name && !named.includes(key)),
  };
}

function callsOf(value: unknown): { name: string; args: unknown }[] {
  return [value].flat().flatMap((each) => {
    if (!isSchema(each)) return [];
    const name = each['name'] ?? each['action'];
    return typeof name === 'string' ? [{ name, args: each['args'] ?? each['arguments'] }] : [];
  });
}

/** The first line of a question, for a list. */
export function firstLine(value: unknown): string {
  const { text, calls, fields } = partsOf(value);
  const line = text?.trim().split('\n')[0];
  if (line) return line;
  if (calls.length > 0) return `Call ${calls.map(({ name }) => name).join(', ')}?`;
  return fields.length === 1 && fields[0]?.[0] === 'value'
    ? JSON.stringify(fields[0][1] ?? null)
    : JSON.stringify(Object.fromEntries(fields));
}

/** The schema without its boolean `approved`, if it has one: two buttons take the place of the field. */
export function approvalRest(schema: JsonSchema | null): JsonSchema | undefined {
  if (!schema) return undefined;
  const shape = shapeOf(schema, schema);
  if (shape.kind !== 'object') return undefined;
  const approved = shape.properties.find(({ name }) => name === 'approved');
  if (!approved || shapeOf(approved.schema, schema).kind !== 'boolean') return undefined;
  const rest = shape.properties.filter((each) => each !== approved);
  return {
    ...schema,
    type: 'object',
    properties: Object.fromEntries(rest.map((each) => [each.name, each.schema])),
    required: rest.filter(({ isRequired }) => isRequired).map(({ name }) => name),
    additionalProperties: false,
  };
}
