import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';
import { classesOf, OWN_CLASSES, type Classes } from '../graphs/classes.ts';
import { createEncoder } from './encode.ts';
import { createRevive } from './revive.ts';

/**
 * Stores values as LangGraph's JSON. It also keeps dates, big integers, NaN, buffers, typed arrays, URLs, and the name and the
 * cause of an error; LangGraph's own serializer loses them. A plain object in the shape of a serialized object stays plain.
 * Functions, symbols, cycles, deep nesting and objects with hidden content throw. LangChain objects are decoded with the given
 * classes.
 */
function createSerde(classes: Classes): SerializerProtocol {
  const revive = createRevive(classes);
  const json: SerializerProtocol = {
    async dumpsTyped(value) {
      return ['json', new TextEncoder().encode(JSON.stringify(createEncoder()(value)))];
    },
    async loadsTyped(_type, data) {
      const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
      const parsed: unknown = JSON.parse(text);
      return text.includes('"lc":') ? revive(parsed) : parsed;
    },
  };
  return {
    async dumpsTyped(value) {
      if (Buffer.isBuffer(value)) return ['buffer', value];
      return value instanceof Uint8Array ? ['bytes', value] : json.dumpsTyped(value);
    },
    async loadsTyped(type, data) {
      if (type === 'json') return json.loadsTyped(type, data);
      const bytes =
        typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data);
      if (type === 'bytes') return bytes;
      if (type === 'buffer') return Buffer.from(bytes.buffer);
      throw new Error(`Unknown serialization type: ${type}`);
    },
  };
}

/** Decodes with the classes of the server. */
export const serde: SerializerProtocol = createSerde(OWN_CLASSES);

const serdes = new WeakMap<Classes, SerializerProtocol>([[OWN_CLASSES, serde]]);

/** Decodes with the classes of a graph; without a graph, with those of the server. */
export function serdeOf(graph: object | undefined): SerializerProtocol {
  const classes = graph ? classesOf(graph) : OWN_CLASSES;
  const known = serdes.get(classes) ?? createSerde(classes);
  serdes.set(classes, known);
  return known;
}

/** The value as a reader would get it from the database. */
export async function asRead(by: SerializerProtocol, value: unknown): Promise<unknown> {
  return by.loadsTyped(...(await by.dumpsTyped(value)));
}
