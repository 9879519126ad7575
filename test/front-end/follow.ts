import { createClient } from 'graphql-ws';

/** Returns a token that is not about to expire. */
type GetToken = () => Promise<string>;

const FOLLOW = `subscription ($runId: ID!, $after: ID) {
  runEvents(runId: $runId, after: $after) { id __typename }
}`;

export async function* follow(url: string, runId: string, getToken: GetToken) {
  const client = createClient({
    url,
    retryAttempts: 0, // A retry of the library would start with the first event again.
    connectionParams: async () => ({ authorization: `Bearer ${await getToken()}` }),
  });
  let after: string | undefined;
  for (;;) {
    try {
      const answers = client.iterate<any>({ query: FOLLOW, variables: { runId, after } });
      for await (const { data, errors } of answers) {
        if (errors) throw errors;
        after = data.runEvents.id;
        yield data.runEvents;
      }
      return;
    } catch (error) {
      if ((error as { code?: number }).code !== 4403) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}
