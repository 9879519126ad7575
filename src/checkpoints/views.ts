/** The kinds of views. Each is stored as bytes. */
export const VIEWS: readonly (new (buffer: ArrayBuffer) => ArrayBufferView)[] = [
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
];

/** The view with these bytes; undefined for an unknown kind. */
export function decodeBytes(name: unknown, base64: string): unknown {
  // A copy, because a pooled Buffer may start at an offset that is not a multiple of the element size.
  const { buffer } = new Uint8Array(Buffer.from(base64, 'base64'));
  if (name === 'ArrayBuffer') return buffer;
  if (name === 'Buffer') return Buffer.from(buffer);
  const type = VIEWS.find((each) => each.name === name);
  return type && new type(buffer);
}
