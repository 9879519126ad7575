import { useState } from 'react';
import { useQuery } from 'urql';
import type { VariablesOf } from '../../data/graphql.ts';
import { LIST_RUNS } from './documents.ts';

type Variables = Omit<VariablesOf<typeof LIST_RUNS>, 'withAssistants'>;

/** A page of runs. Without the names of assistants if the project hides one of them. */
export function useRunList(variables: Variables, { pause = false } = {}) {
  const [withAssistants, setWithAssistants] = useState(true);
  const [{ data, error, fetching }, read] = useQuery({
    query: LIST_RUNS,
    variables: { ...variables, withAssistants },
    requestPolicy: 'cache-and-network',
    pause,
  });
  const isHidden = error?.graphQLErrors.some(
    ({ extensions }) => extensions['code'] === 'NOT_FOUND',
  );
  if (isHidden && withAssistants) setWithAssistants(false);
  return {
    runs: data?.runs?.nodes,
    pageInfo: data?.runs?.pageInfo,
    error: isHidden ? undefined : error,
    fetching,
    read: () => {
      if (!pause) read({ requestPolicy: 'network-only' });
    },
  };
}
