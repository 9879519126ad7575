import { useQuery } from 'urql';
import { useReload } from './feed.tsx';
import { graphql } from './graphql.ts';

const COUNT_QUESTIONS = graphql(`
  query CountQuestions {
    pendingInterrupts(first: 1) {
      totalCount
    }
  }
`);

/** The number of open questions over all threads, kept up to date. */
export function useOpenQuestions(): number {
  const [{ data }, read] = useQuery({ query: COUNT_QUESTIONS });
  useReload(read);
  return data?.pendingInterrupts?.totalCount ?? 0;
}
