import { Client as SdkClient } from '@langchain/langgraph-sdk';

/** LangGraph's own client, for the REST interface of a server. */
export function sdkClient(
  { url }: { url: string },
  options: { apiKey?: string; defaultHeaders?: Record<string, string> } = {},
): SdkClient {
  return new SdkClient({
    apiUrl: url,
    // Without a key: the SDK would take one from the environment.
    apiKey: null as unknown as string,
    callerOptions: { maxRetries: 0 },
    ...options,
  });
}

/** All elements of a stream. */
export async function gather<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of stream) all.push(each);
  return all;
}

/** A message as the SDKs send it. */
export const human = (content: string) => ({ type: 'human', content });
