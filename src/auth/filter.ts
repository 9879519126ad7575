import { join, raw, sql, type Statement } from '../db/sql.ts';
import { isRecord } from '../json.ts';

// The filters of handlers: conditions on the metadata of rows. A condition is a containment test of PostgreSQL: `$eq` is
// `{"key": value}`, `$contains` is `{"key": [values]}`. So a text never equals a list, and a list contains each of the values.

/** All documents of `all` are contained in the metadata, or one of `any` holds. */
export type Filter =
  { contains: Document } | { all: readonly Filter[] } | { any: readonly Filter[] };

/** Metadata keys, each with a value or a list of values. */
type Document = Record<string, Scalar | Scalar[]>;
type Scalar = string | number | boolean;

/** `$or` and `$and` within each other. */
const DEEPEST = 2;
const MOST_CONDITIONS = 100;

/** Reads the answer of a handler. Throws an error with the reason for everything that is not a filter: nothing is ignored. */
export function readFilter(answer: Record<string, unknown>): Filter {
  const filter = readBranch(answer, 0);
  const count = countOf(filter);
  if (count > MOST_CONDITIONS) {
    throw new Error(`it has ${count} conditions; at most ${MOST_CONDITIONS} are allowed.`);
  }
  return filter;
}

function readBranch(answer: Record<string, unknown>, depth: number): Filter {
  const all: Filter[] = Object.entries(answer).map(([key, condition]) => {
    if (key === '$or') return { any: readBranches(key, condition, depth + 1) };
    if (key === '$and') return { all: readBranches(key, condition, depth + 1) };
    if (key.startsWith('$')) throw new Error(`${key} is not an operator.`);
    return { contains: readCondition(key, condition) };
  });
  return all.length === 1 && all[0] ? all[0] : { all };
}

function readBranches(operator: string, branches: unknown, depth: number): Filter[] {
  if (depth > DEEPEST) throw new Error(`${operator} is nested deeper than ${DEEPEST} levels.`);
  if (!Array.isArray(branches) || branches.length < 2) {
    throw new Error(`${operator} must be a list of at least 2 filters.`);
  }
  return branches.map((branch: unknown) => {
    if (isRecord(branch) && Object.keys(branch).length > 0) return readBranch(branch, depth);
    throw new Error(`${operator} has a branch without a condition.`);
  });
}

function readCondition(key: string, condition: unknown): Document {
  if (isScalar(condition)) return { [key]: condition };
  if (!isRecord(condition))
    throw new Error(`the value of ${JSON.stringify(key)} is ${kindOf(condition)}.`);
  const [[operator, operand] = [], ...further] = Object.entries(condition);
  if (operator === undefined || further.length > 0) {
    throw new Error(`${JSON.stringify(key)} must have a single operator.`);
  }
  if (operator === '$eq' && isScalar(operand)) return { [key]: operand };
  if (operator === '$contains') {
    const wanted: unknown[] = Array.isArray(operand) ? operand : [operand];
    if (wanted.length > 0 && wanted.every(isScalar)) return { [key]: wanted };
  }
  throw new Error(
    operator === '$eq' || operator === '$contains'
      ? `${operator} of ${JSON.stringify(key)} is ${kindOf(operand)}.`
      : `${operator} is not an operator.`,
  );
}

function isScalar(value: unknown): value is Scalar {
  return (
    (typeof value === 'string' && !value.includes('\0')) ||
    typeof value === 'boolean' ||
    (typeof value === 'number' && Number.isFinite(value))
  );
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return Array.isArray(value) ? 'a list' : `of a wrong type (${typeof value})`;
}

function countOf(filter: Filter): number {
  if ('contains' in filter) return 1;
  const branches = 'all' in filter ? filter.all : filter.any;
  return branches.reduce((count, branch) => count + countOf(branch), 0);
}

/** Rows of a tenant, in the table or alias of a statement. Without a tenant: of all. */
export interface RowsOf {
  tenant: string | undefined;
  alias?: string | undefined;
}

/**
 * SQL: whether the metadata of a row contain the document. The index of a table has its metadata within the tenant, and the
 * condition equals its expression: a search does not read the entries of other tenants.
 */
export function metadataContain(document: object, { tenant, alias }: RowsOf): Statement {
  const prefix = alias === undefined ? '' : `${alias}.`;
  const metadata = raw(`${prefix}"metadata"`);
  if (tenant === undefined) return sql`${metadata} @> ${JSON.stringify(document)}::jsonb`;
  const within = JSON.stringify({ [tenant]: document });
  return sql`jsonb_set('{}', ARRAY[${raw(`${prefix}"tenant"`)}], ${metadata}) @> ${within}::jsonb`;
}

/** SQL: whether the metadata of a row meet the filter. */
export function metadataMeet(filter: Filter, rows: RowsOf): Statement {
  if ('contains' in filter) return metadataContain(filter.contains, rows);
  const [branches, separator] =
    'all' in filter ? [filter.all, ' AND '] : ([filter.any, ' OR '] as const);
  if (branches.length === 0) return raw('true');
  return sql`(${join(
    branches.map((branch) => metadataMeet(branch, rows)),
    separator,
  )})`;
}

/** `metadataMeet` for a row that the server has read for several viewers. */
export function meets(filter: Filter, metadata: unknown): boolean {
  if ('all' in filter) return filter.all.every((branch) => meets(branch, metadata));
  if ('any' in filter) return filter.any.some((branch) => meets(branch, metadata));
  return (
    isRecord(metadata) &&
    Object.entries(filter.contains).every(([key, wanted]) => {
      const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
      if (!Array.isArray(wanted)) return value === wanted;
      return Array.isArray(value) && wanted.every((each) => value.includes(each));
    })
  );
}
