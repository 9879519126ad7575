import { useQuery } from 'urql';
import { graphql, type ResultOf } from './graphql.ts';

const VIEWER = graphql(`
  query Viewer {
    viewer {
      tenant
      identity
      roles
    }
  }
`);

export type Viewer = ResultOf<typeof VIEWER>['viewer'];

/** The person at this page. Undefined until the server has answered. */
export function useViewer(): Viewer | undefined {
  const [{ data }] = useQuery({ query: VIEWER });
  return data?.viewer;
}

/** Whether the person may change anything. The server decides; the page only hides what it would refuse. */
export function useMayWrite(): boolean {
  const viewer = useViewer();
  return viewer !== undefined && viewer.roles.some((role) => role !== 'READER');
}
