import { createGraphQLError, type Plugin } from 'graphql-yoga';
import type { ErrorCode } from '../errors.ts';
import { isRecord } from '../json.ts';

/**
 * Answers a request with the hash of a query instead of the query like Apollo Server without persisted queries, with
 * status 200: the client then sends the query itself.
 */
export function useNoPersistedQueries(): Plugin {
  return {
    onParams({ params }) {
      if (params.query || !isRecord(params.extensions?.['persistedQuery'])) return;
      throw createGraphQLError('PersistedQueryNotSupported', {
        extensions: {
          code: 'PERSISTED_QUERY_NOT_SUPPORTED' satisfies ErrorCode,
          http: {
            status: 200,
            headers: { 'cache-control': 'private, no-cache, must-revalidate' },
          },
        },
      });
    },
  };
}
