import { createHash } from 'node:crypto';

/** SQL text, and the parts between its strings: fragments, explicit parameters and plain values. */
export class Statement {
  readonly strings: readonly string[];
  readonly parts: readonly unknown[];

  constructor(strings: readonly string[], parts: readonly unknown[]) {
    this.strings = strings;
    this.parts = parts;
  }

  /** True if the statement or one of its fragments has a parameter. */
  get bindsValues(): boolean {
    return this.parts.some((part) => !(part instanceof Statement) || part.bindsValues);
  }
}

/** A value for several positions of one statement. */
export class Param {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}

/**
 * Writes a statement: `` sql`SELECT * FROM "Run" WHERE "id" = ${id}` ``. A Statement among the parts is a fragment: its text and
 * values become part of this statement. Each other part is bound as a parameter and never becomes text. If PostgreSQL cannot
 * infer the type of a parameter, the text casts it: `${ids}::uuid[]`.
 *
 * The number of texts must stay small: bind a list of values as one array (`= ANY(${ids})`), not as a fragment for each value.
 */
export function sql(strings: TemplateStringsArray, ...parts: readonly unknown[]): Statement {
  return new Statement(strings, parts);
}

/** A value for several parts of a statement and its fragments, sent once: `const id = param(threadId)`. */
export function param(value: unknown): Param {
  return new Param(value);
}

/** Trusted text without values: the name of a column, a direction, a constant. Text from a client is never trusted. */
export function raw(text: string | number): Statement {
  return new Statement([String(text)], []);
}

/** A fragment without text. */
export const empty = raw('');

/** The fragments with the separator between them: `` join(conditions, ' AND ') ``. Without fragments, `empty`. */
export function join(statements: readonly Statement[], separator = ', '): Statement {
  if (statements.length === 0) return empty;
  const separators = statements.slice(1).map(() => separator);
  return new Statement(['', ...separators, ''], statements);
}

/** A statement as PostgreSQL receives it. */
export interface CompiledStatement {
  text: string;
  /** The name of the prepared statement: the same in each process. */
  name: string;
  values: unknown[];
}

/**
 * A step on the path of a statement: the strings of a template, which are the same object in each call; the number of a
 * parameter; for other fragments, the negative count of their strings and then each string.
 */
type Step = readonly string[] | string | number;

/** A node in the tree of all statements so far. */
interface Node {
  next: Map<Step, Node>;
  compiled?: { text: string; name: string };
}

const root: Node = { next: new Map() };

/** Collects the values of a statement. Its text is written once for all statements with the same path. */
export function compile(statement: Statement): CompiledStatement {
  const values: unknown[] = [];
  const node = follow(root, statement, numbering(values));
  node.compiled ??= withName(textOf(statement, numbering([])));
  return { ...node.compiled, values };
}

/** Returns the number of each parameter, and collects the values in the order of their numbers. */
function numbering(values: unknown[]): (part: unknown) => number {
  const numbers = new Map<Param, number>();
  return (part) => {
    if (!(part instanceof Param)) return values.push(part);
    const number = numbers.get(part) ?? values.push(part.value);
    numbers.set(part, number);
    return number;
  };
}

function follow(
  start: Node,
  { strings, parts }: Statement,
  numberOf: (part: unknown) => number,
): Node {
  let node = start;
  if ('raw' in strings) node = step(node, strings);
  else {
    node = step(node, -strings.length);
    for (const text of strings) node = step(node, text);
  }
  for (const part of parts) {
    node = part instanceof Statement ? follow(node, part, numberOf) : step(node, numberOf(part));
  }
  return node;
}

function step({ next }: Node, to: Step): Node {
  const node = next.get(to) ?? { next: new Map<Step, Node>() };
  next.set(to, node);
  return node;
}

function textOf({ strings, parts }: Statement, numberOf: (part: unknown) => number): string {
  return strings.reduce((text, following, i) => {
    const part = parts[i - 1];
    const inserted = part instanceof Statement ? textOf(part, numberOf) : `$${numberOf(part)}`;
    return `${text}${inserted}${following}`;
  });
}

/** The text of a statement, and the name of the prepared one. */
function withName(text: string): { text: string; name: string } {
  return { text, name: createHash('sha1').update(text).digest('base64url') };
}
