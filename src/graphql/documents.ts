import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesPlugin } from '@escape.tech/graphql-armor-max-directives';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import { NoSchemaIntrospectionCustomRule, type DocumentNode, type GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Config } from '../config.ts';
import { AppError, LimitError } from '../errors.ts';
import { remember } from '../remember.ts';
import { useCostLimit } from './cost.ts';
import { useValidation } from './validation.ts';

const CACHED_DOCUMENTS = 500;
const LONGEST_CACHED = 20_000;

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
