import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesPlugin } from '@escape.tech/graphql-armor-max-directives';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import {
  getOperationAST,
  getVariableValues,
  Kind,
  NoSchemaIntrospectionCustomRule,
  type DefinitionNode,
  type DocumentNode,
  type GraphQLError,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import {
  getComplexity,
  type ComplexityEstimator,
  type ComplexityEstimatorArgs,
} from 'graphql-query-complexity';
import type { GraphQLParams, Plugin } from 'graphql-yoga';
import type { Config } from '../config.ts';
import { AppError, LimitError } from '../errors.ts';
import { remember } from '../remember.ts';
import { useValidation } from './validation.ts';

const CACHED_DOCUMENTS = 500;
const LONGEST_CACHED = 20_000;

const PAGE_SIZE = 20;
const LARGEST_PAGE = 100;
const MOST_MESSAGES = 1000;

/** Fields with a state loaded and read by its graph. */
const STATE_FIELDS = new Set(
  ['Thread', 'Checkpoint', 'Run', 'ValuesEvent', 'CheckpointsEvent'].flatMap((type) =>
    ['values', 'messages', 'writes', 'next', 'tasks', 'output', 'data'].map(
      (field) => `${type}.${field}`,
    ),
  ),
);
const STATE_COST = 10;
/** Stored costs of a document. */
const MOST_COSTS = 100;

/** Refuses too expensive documents before their execution, over every transport. */
export function documentLimits(config: Config): Plugin[] {
  return [
    maxTokensPlugin({ n: config.tokenLimit, ...refusal('TOKEN_LIMIT') }),
    maxDepthPlugin({ n: config.depthLimit, flattenFragments: true, ...refusal('DEPTH_LIMIT') }),
    maxAliasesPlugin({ n: config.aliasLimit, ...refusal('ALIAS_LIMIT') }),
    maxDirectivesPlugin({ n: config.directiveLimit, ...refusal('DIRECTIVE_LIMIT') }),
    usePlaces(),
    useValidation(config),
    useStackGuard(),
    useCostLimit(config.costLimit),
  ];
}

/** Hides the schema from clients. Errors suggest no names either (validation.ts). */
export function useNoIntrospection(): Plugin {
  return {
    onValidate: ({ addValidationRule }) => addValidationRule(NoSchemaIntrospectionCustomRule),
  };
}

/** Removes suggested names from errors of the executor. The executor has no option for this. */
export function withoutSuggestions(mask: (thrown: unknown) => GraphQLError): typeof mask {
  return (thrown) => {
    const error = mask(thrown);
    error.message = error.message.replace(/ Did you mean ("|the enum value ).*\?$/s, '');
    return error;
  };
}

/** Yoga's cache of parsed documents. Clients control the documents, so the cache has few entries and no long ones. */
export function createDocumentCache() {
  const documents = new Map<string, DocumentNode>();
  return {
    documentCache: {
      get: (text: string) => documents.get(text),
      set(text: string, document: DocumentNode) {
        if (text.length <= LONGEST_CACHED) remember(documents, text, document, CACHED_DOCUMENTS);
      },
    },
    errorCache: { get: () => undefined, set: () => {} },
  };
}

/** Changes armor's errors, "Syntax Error: Aliases limit of 1 exceeded, found 2.", to a LimitError with the limit's variable. */
function refusal(variable: string) {
  return {
    onReject: [
      (_context: unknown, { message }: GraphQLError) => {
        throw new LimitError(message.replace(/^Syntax Error: /, ''), variable);
      },
    ],
  };
}

const MOST_LINES = 500;

/** Errors of a longer document have no line numbers: computing a number scans all earlier lines. */
function usePlaces(): Plugin {
  return {
    onParse: ({ parseFn, setParseFn }) =>
      setParseFn((source, options) => {
        const text = typeof source === 'string' ? source : source.body;
        const isLong = text.split(/\r\n|[\n\r]/, MOST_LINES + 1).length > MOST_LINES;
        return parseFn(source, { ...options, noLocation: isLong });
      }),
  };
}

/** The depth limit counts selections only. Nested lists in literal values are limited by the stack, far above 100 levels. */
function useStackGuard(): Plugin {
  return {
    onParse: ({ parseFn, setParseFn }) => setParseFn(guarded(parseFn)),
    onValidate: ({ validateFn, setValidationFn }) => setValidationFn(guarded(validateFn)),
  };
}

function guarded<Args extends unknown[], Result>(run: (...args: Args) => Result) {
  return (...args: Args): Result => {
    try {
      return run(...args);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new AppError('BAD_USER_INPUT', 'The document is too deeply nested.');
    }
  };
}

/**
 * Refuses an operation if its answer could have more fields than the limit. The selection of a page counts `first` or `last`
 * times. A field with a state counts ten times. Twenty fields of introspection count as a single field.
 */
function useCostLimit(limit: number): Plugin {
  /** Accepted cost keys by document. Yoga keeps documents in its cache. */
  const accepted = new WeakMap<DocumentNode, Set<string>>();
  return {
    onValidate:
      ({ params: { schema, documentAST }, context }) =>
      ({ valid }) => {
        const { operationName, variables } = (context['params'] ?? {}) satisfies GraphQLParams;
        const document: DocumentNode = documentAST;
        const operation = valid && getOperationAST(document, operationName);
        if (!operation) return;
        const given = variables ?? {};
        const known = accepted.get(document) ?? new Set();
        const key = costKey(operation, given);
        // For invalid variables the cost is unknown, and the executor has the better error.
        if (key === undefined || known.has(key)) return;
        if (getVariableValues(schema, operation.variableDefinitions ?? [], given).errors) return;
        const { definitions } = document;
        const fragments = definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
        // Thrown, not set as a result: Yoga caches results by document, but this error depends on the variables too.
        checkCost({ schema, operation, fragments, variables: given }, limit);
        if (known.size < MOST_COSTS) accepted.set(document, known.add(key));
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

function checkCost({ schema, operation, fragments, variables }: Execution, limit: number): void {
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
  if (cost <= limit) return;
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

function costOf({ type, field }: ComplexityEstimatorArgs): number {
  return STATE_FIELDS.has(`${type.name}.${field.name}`) ? STATE_COST : 1;
}

/** The factor for the selection of a field. A page applies its size once, for its edges and nodes. */
function sizeOf({ type, field, args }: ComplexityEstimatorArgs): number {
  if (type.name.startsWith('__')) return INTROSPECTED[field.name] ?? 1;
  if (!field.args.some(({ name }) => name === 'first' || name === 'last')) return 1;
  const largest = field.name === 'messages' ? MOST_MESSAGES : LARGEST_PAGE;
  return Math.min(Math.max(args['last'] ?? args['first'] ?? PAGE_SIZE, 0), largest);
}
