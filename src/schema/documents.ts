import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesPlugin } from '@escape.tech/graphql-armor-max-directives';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import {
  getOperationAST,
  getVariableValues,
  Kind,
  NoSchemaIntrospectionCustomRule,
  validate,
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
import { AppError } from '../errors.ts';
import { remember } from '../remember.ts';

const CACHED_DOCUMENTS = 500;
const LONGEST_CACHED = 20_000;

const PAGE_SIZE = 20;
const LARGEST_PAGE = 100;
/** Of one document. */
const MOST_COSTS = 100;

/** Refuses documents that would be too much work, before anything of them is executed, over every transport. */
export function documentLimits(config: Config): Plugin[] {
  return [
    maxTokensPlugin({ n: config.tokenLimit, ...refusal('TOKEN_LIMIT') }),
    maxDepthPlugin({ n: config.depthLimit, flattenFragments: true, ...refusal('DEPTH_LIMIT') }),
    maxAliasesPlugin({ n: config.aliasLimit, ...refusal('ALIAS_LIMIT') }),
    maxDirectivesPlugin({ n: config.directiveLimit, ...refusal('DIRECTIVE_LIMIT') }),
    useStackGuard(),
    useCostLimit(config.costLimit),
  ];
}

/** Hides what the schema is from those who do not have it, also from those who guess names. */
export function useNoIntrospection(): Plugin {
  return {
    onValidate({ addValidationRule, setValidationFn }) {
      addValidationRule(NoSchemaIntrospectionCustomRule);
      setValidationFn((schema, document, rules) =>
        validate(schema, document, rules, { hideSuggestions: true }),
      );
    },
  };
}

/** For the errors of the executor, which suggests names whatever it is told. */
export function withoutSuggestions(mask: (thrown: unknown) => GraphQLError): typeof mask {
  return (thrown) => {
    const error = mask(thrown);
    error.message = error.message.replace(/ Did you mean ("|the enum value ).*\?$/s, '');
    return error;
  };
}

/** What Yoga keeps of documents that it has seen. Clients choose them, so it is not many, and none that is long. */
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

/** Gives armor's errors, "Syntax Error: Aliases limit of 1 exceeded, found 2.", our code and the limit's variable. */
function refusal(variable: string) {
  return {
    onReject: [
      (_context: unknown, { message }: GraphQLError) => {
        throw overLimit(message.replace(/^Syntax Error: /, ''), variable);
      },
    ],
  };
}

function overLimit(message: string, variable: string): AppError {
  return new AppError('BAD_USER_INPUT', `${message} ${variable} sets the limit.`);
}

/** Lists in lists in a document's own values are no selections: only the stack limits them, far above 100 levels. */
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
      throw new AppError('BAD_USER_INPUT', 'The document nests too deep to be read.');
    }
  };
}

/**
 * Refuses an operation whose answer could come to more fields than the limit: what is selected of a page counts as many
 * times as `first` or `last` say. Introspection counts nothing; graphql limits its depth.
 */
function useCostLimit(limit: number): Plugin {
  /** Of documents, which Yoga keeps: what was found to be within the limit, by all that a cost depends on. */
  const within = new WeakMap<DocumentNode, Set<string>>();
  return {
    onValidate:
      ({ params: { schema, documentAST }, context }) =>
      ({ valid }) => {
        const { operationName, variables } = (context['params'] ?? {}) satisfies GraphQLParams;
        const document: DocumentNode = documentAST;
        const operation = valid && getOperationAST(document, operationName);
        if (!operation) return;
        const given = variables ?? {};
        const known = within.get(document) ?? new Set();
        const key = costKey(operation, given);
        // Where variables are wrong, the executor says so better, and nothing is known of the cost.
        if (key === undefined || known.has(key)) return;
        if (getVariableValues(schema, operation.variableDefinitions ?? [], given).errors) return;
        const { definitions } = document;
        const fragments = definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
        // Not as a result: Yoga keeps results by document, and this one depends on the variables too.
        checkCost({ schema, operation, fragments, variables: given }, limit);
        if (known.size < MOST_COSTS) within.set(document, known.add(key));
      },
  };
}

/**
 * All that an operation's cost depends on: the sizes of pages are Int, and what @include and @skip ask is Boolean. Undefined
 * where one is an object or a list, which is wrong, and may nest deeper than the stack.
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
    // Null is not the default.
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
    // Fragments in fragments can be more fields than anybody can count.
    if (fields > limit) throw overLimit(`Cost limit of ${limit} exceeded.`, 'COST_LIMIT');
    if (selected.field.name.startsWith('__')) return 0;
    return 1 + sizeOf(selected) * selected.childComplexity;
  };
  const cost = getComplexity({
    schema,
    query: { kind: Kind.DOCUMENT, definitions: [operation, ...fragments] },
    variables,
    estimators: [estimator],
    maxQueryNodes: Infinity,
  });
  if (cost <= limit) return;
  throw overLimit(`Cost limit of ${limit} exceeded, found ${cost}.`, 'COST_LIMIT');
}

/** How many times a field's answer holds what is selected of it. The edges and nodes of a page are counted by its own. */
function sizeOf({ field, args }: ComplexityEstimatorArgs): number {
  if (!field.args.some(({ name }) => name === 'first' || name === 'last')) return 1;
  return Math.min(Math.max(args['last'] ?? args['first'] ?? PAGE_SIZE, 0), LARGEST_PAGE);
}
