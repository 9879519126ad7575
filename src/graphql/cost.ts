import {
  getOperationAST,
  getVariableValues,
  Kind,
  type DefinitionNode,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import {
  getComplexity,
  type ComplexityEstimator,
  type ComplexityEstimatorArgs,
} from 'graphql-query-complexity';
import type { GraphQLParams, Plugin } from 'graphql-yoga';
import { DEFAULT_PAGE, LARGEST_PAGE } from '../db/page.ts';
import { LimitError } from '../errors.ts';

/** What a field of a schema.ts states about its cost, as its `extensions`. */
interface FieldCost {
  /** The fields that it counts as. Default 1. */
  cost?: number;
  /** The largest value of its argument `first` or `last`. Default 100. */
  largestPage?: number;
}

/** A field that loads a state, which its graph reads. */
export const STATE_COST = { cost: 10 } satisfies FieldCost;

/** Stored costs of a document. */
const MOST_COSTS = 100;

/** The context of an operation with known cost. */
export interface Costed {
  /** Absent for invalid variables. */
  cost?: number;
}

/**
 * Refuses an operation if its answer could have more fields than the limit, and puts its cost into the context. The selection of a page counts `first` or `last`
 * times. A field with a state counts ten times. Twenty fields of introspection count as a single field.
 */
export function useCostLimit(limit: number): Plugin<Costed> {
  /** Accepted costs by document and cost key. Yoga keeps documents in its cache. */
  const accepted = new WeakMap<DocumentNode, Map<string, number>>();
  return {
    onValidate:
      ({ params: { schema, documentAST }, context }) =>
      ({ valid, extendContext }) => {
        const { operationName, variables } = (context['params'] ?? {}) satisfies GraphQLParams;
        const document: DocumentNode = documentAST;
        const operation = valid && getOperationAST(document, operationName);
        if (!operation) return;
        const given = variables ?? {};
        const known = accepted.get(document) ?? new Map();
        const key = costKey(operation, given);
        // For invalid variables the cost is unknown, and the executor has the better error.
        if (key === undefined) return;
        const before = known.get(key);
        if (before !== undefined) return extendContext({ cost: before } satisfies Costed);
        if (getVariableValues(schema, operation.variableDefinitions ?? [], given).errors) return;
        const { definitions } = document;
        const fragments = definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
        // Thrown, not set as a result: Yoga caches results by document, but this error depends on the variables too.
        const cost = checkCost({ schema, operation, fragments, variables: given }, limit);
        if (known.size < MOST_COSTS) accepted.set(document, known.set(key, cost));
        extendContext({ cost } satisfies Costed);
      },
  };
}

/**
 * The cost of an operation depends on its variables of type Int (page sizes) and Boolean (@include and @skip). Returns a key
 * of these variables, or undefined if a value is an object or a list: this is invalid, and may nest deeper than the stack.
 */
function costKey(
  { name, variableDefinitions = [] }: OperationDefinitionNode,
  variables: Record<string, unknown>,
): string | undefined {
  const deciding = variableDefinitions
    .filter(({ type }) => {
      const named = type.kind === Kind.NON_NULL_TYPE ? type.type : type;
      return named.kind === Kind.NAMED_TYPE && ['Int', 'Boolean'].includes(named.name.value);
    })
    .map(({ variable }) => variable.name.value)
    // An explicit null differs from an absent variable with a default.
    .map((name) => (Object.hasOwn(variables, name) ? [variables[name]] : []));
  const isWrong = deciding.some(([value]) => typeof value === 'object' && value !== null);
  return isWrong ? undefined : JSON.stringify([name?.value, deciding]);
}

interface Execution {
  schema: GraphQLSchema;
  operation: OperationDefinitionNode;
  fragments: readonly DefinitionNode[];
  variables: Record<string, unknown>;
}

/** Returns the cost. Throws if it exceeds the limit. */
function checkCost({ schema, operation, fragments, variables }: Execution, limit: number): number {
  let fields = 0;
  const estimator: ComplexityEstimator = (selected) => {
    fields += 1;
    // Nested fragments can expand to too many fields to count, so stop at the limit.
    if (fields > limit) throw new LimitError(`Cost limit of ${limit} exceeded.`, 'COST_LIMIT');
    if (selected.field.name.startsWith('__')) return selected.childComplexity / 20;
    return costOf(selected) + sizeOf(selected) * selected.childComplexity;
  };
  const cost = Math.ceil(
    getComplexity({
      schema,
      query: { kind: Kind.DOCUMENT, definitions: [operation, ...fragments] },
      variables,
      estimators: [estimator],
      maxQueryNodes: Infinity,
    }),
  );
  if (cost <= limit) return cost;
  throw new LimitError(`Cost limit of ${limit} exceeded, found ${cost}.`, 'COST_LIMIT');
}

/** Approximate number of entries per list in introspection. */
const INTROSPECTED: Record<string, number> = {
  types: 150,
  fields: 10,
  inputFields: 5,
  enumValues: 5,
  directives: 5,
};

function costOf({ field }: ComplexityEstimatorArgs): number {
  const { cost = 1 }: FieldCost = field.extensions;
  return cost;
}

/** The factor for the selection of a field. A page applies its size once, for its edges and nodes. */
function sizeOf({ type, field, args }: ComplexityEstimatorArgs): number {
  if (type.name.startsWith('__')) return INTROSPECTED[field.name] ?? 1;
  if (!field.args.some(({ name }) => name === 'first' || name === 'last')) return 1;
  const { largestPage = LARGEST_PAGE }: FieldCost = field.extensions;
  return Math.min(Math.max(args['last'] ?? args['first'] ?? DEFAULT_PAGE, 0), largestPage);
}
