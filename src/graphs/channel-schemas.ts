import { isRecord } from '../json.ts';

type JsonObject = Record<string, unknown>;

/** Channels by name: a state, an input or an output made of annotations. */
export type Channels = Record<string, unknown>;

/** Whether a schema describes stored values, or the updates of them. */
export type Use = 'values' | 'updates';

/**
 * JSON Schema of an object with a value for each channel. Annotations keep no types at run time: a schema has the names, the
 * defaults with their types, the messages, and descriptions of how updates combine.
 */
export function schemaOfChannels(channels: Channels, use: Use): JsonObject {
  const names = Object.keys(channels).filter((name) => !isInternal(name));
  const properties = names.map((name) => [name, schemaOfChannel(channels[name], use)]);
  return { type: 'object', properties: Object.fromEntries(properties) as JsonObject };
}

/** Whether LangGraph itself added the channel to the channels of the state. */
function isInternal(channel: string): boolean {
  return channel.startsWith('__') || channel.startsWith('branch:');
}

const LAST_VALUE = 'The last value replaces the one before.';

function schemaOfChannel(channel: unknown, use: Use): JsonObject {
  // An annotation without a call is the function itself.
  if (!isRecord(channel)) return { description: LAST_VALUE };
  // Not instanceof: a project may bring its own LangGraph.
  switch (channel['lc_graph_name']) {
    case 'BinaryOperatorAggregate':
      return reduced(channel['operator'], channel, use);
    case 'DeltaChannel':
      return reduced(channel['reducer'], channel, use);
    case 'Topic':
      return topic(channel);
    case 'UntrackedValue':
      return {
        ...defaultOf(channel),
        description: 'The last value of a run. Checkpoints do not keep it.',
      };
    case 'EphemeralValue':
      return { description: 'A value for one step.' };
    default:
      return { ...defaultOf(channel), description: LAST_VALUE };
  }
}

const MESSAGE_REDUCERS = ['messagesStateReducer', 'messagesDeltaReducer'];

function reduced(reducer: unknown, channel: JsonObject, use: Use): JsonObject {
  const name = typeof reducer === 'function' ? reducer.name : '';
  if (MESSAGE_REDUCERS.includes(name)) return messages(channel, use);
  // LangGraph names an anonymous reducer itself.
  const isNamed = !['', 'reducer', 'value', 'fn'].includes(name);
  const by = isNamed ? `The reducer "${name}"` : 'A reducer';
  const { default: value, type } = defaultOf(channel);
  return {
    ...(value !== undefined && { default: value }),
    // A reducer may take updates of another type.
    ...(use === 'values' && type !== undefined && { type }),
    description: `${by} combines each update with the value before.`,
  };
}

/** A message as clients see it, in LangChain's plain shape. */
const MESSAGE = {
  type: 'object',
  properties: {
    type: { type: 'string', examples: ['human', 'ai', 'system', 'tool'] },
    content: { type: ['string', 'array'] },
    id: { type: ['string', 'null'] },
    name: { type: ['string', 'null'] },
  },
  required: ['type', 'content'],
};

function messages(channel: JsonObject, use: Use): JsonObject {
  const { default: value } = defaultOf(channel);
  const shared = { langgraph_type: 'messages', ...(value !== undefined && { default: value }) };
  if (use === 'values') {
    const description = 'Messages, oldest first. A message with a known id replaces the old one.';
    return { ...shared, type: 'array', items: MESSAGE, description };
  }
  const description =
    'Messages to add: a list or a single one, each with `role` or `type` and `content`, or a text. ' +
    'A message with a known id replaces the old one.';
  return { ...shared, type: ['array', 'object', 'string'], description };
}

function topic({ accumulate, unique }: JsonObject): JsonObject {
  const kept = accumulate ? 'All values of the thread.' : 'The values of one step.';
  return { type: 'array', description: unique ? `${kept} Each counts once.` : kept };
}

/** The schema omits longer defaults, but not their type. */
const LONGEST_DEFAULT = 10_000;

/** The default of a channel, as JSON, and its type. A null has no type. */
function defaultOf({ initialValueFactory: make }: JsonObject): JsonObject {
  if (typeof make !== 'function') return {};
  try {
    const value: unknown = make();
    const type = typeOf(value);
    const text = value === null || type ? JSON.stringify(value) : undefined;
    return {
      ...(text !== undefined && text.length <= LONGEST_DEFAULT && { default: JSON.parse(text) }),
      ...(type && { type }),
    };
  } catch {
    // The author's function fails, or JSON has no such value.
    return {};
  }
}

/** Undefined for a value without a type in JSON. */
function typeOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return 'array';
  if (isRecord(value))
    return Object.getPrototypeOf(value) === Object.prototype ? 'object' : undefined;
  return ['string', 'number', 'boolean'].includes(typeof value) ? typeof value : undefined;
}
