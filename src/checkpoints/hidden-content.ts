import { EventEmitter } from 'node:events';

/**
 * The class of an object with content outside of its enumerable properties, such as a Blob, a WeakRef or a stream. Undefined
 * for an object described by its properties. JavaScript hides private fields: an object with both kinds of fields counts as
 * described.
 */
export function classOfHidden(value: object): string | undefined {
  if (!isOfClass(value)) return undefined;
  if (isBuiltIn(value)) return className(value);
  if (hasProperties(value)) return undefined;
  if (tagOf(value) !== 'Object') return className(value);
  return isPlain(value) || describesItself(value) ? undefined : className(value);
}

/** True for an object literal, also from another realm. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * True if a class made the object. The prototype of an object may be a literal or a list: LangChain copies the key `__proto__` of
 * a message in this way. Only lists themselves have the content of a list.
 */
function isOfClass(value: object): boolean {
  const others = prototypesOf(value).filter((each) => each !== Array.prototype);
  return tagOf(value) !== 'Object' || others.some((each) => constructorOf(each) !== undefined);
}

function constructorOf(prototype: object): Function | undefined {
  const owner: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  return typeof owner === 'function' ? owner : undefined;
}

/** The kind of the object as JavaScript names it. A class can choose the name. */
function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}

/** True if a class of JavaScript or Node.js, or a subclass of one, made the object. */
function isBuiltIn(value: object): boolean {
  return value instanceof EventEmitter || prototypesOf(value).some(isGlobalClass);
}

/** The prototypes of the object, without the last one, Object.prototype. */
function prototypesOf(value: object): object[] {
  const prototypes: object[] = [];
  for (
    let prototype = Object.getPrototypeOf(value) as object | null;
    prototype !== null && Object.getPrototypeOf(prototype) !== null;
    prototype = Object.getPrototypeOf(prototype) as object | null
  ) {
    prototypes.push(prototype);
  }
  return prototypes;
}

function isGlobalClass(prototype: object): boolean {
  const owner = constructorOf(prototype);
  return owner !== undefined && Reflect.get(globalThis, owner.name) === owner;
}

function hasProperties(value: object): boolean {
  return Object.keys(value).some((key) => typeof Reflect.get(value, key) !== 'function');
}

function describesItself(value: object): boolean {
  return 'toJSON' in value && typeof value.toJSON === 'function';
}

function className(value: object): string {
  const owner: unknown = Reflect.get(value, 'constructor');
  const name = typeof owner === 'function' ? owner.name : '';
  return name && name !== 'Object' ? name : tagOf(value);
}
