import { logOperation } from './operations.ts';
import { refuseSession } from './session.ts';

interface Answer {
  data?: unknown;
  errors?: { message: string; extensions?: { code?: string } }[];
}

/** Sends an operation, records it with the size of its answer, and notes if the server refuses the credential. */
export async function sendOverHttp(
  input: RequestInfo | URL,
  init: RequestInit = {},
): Promise<Response> {
  const { query = '', variables = {} } = JSON.parse((init.body as string | undefined) ?? '{}');
  const update = logOperation(query, variables);
  const begin = performance.now();
  try {
    const response = await fetch(input, init);
    const text = await response.text();
    const { errors = [] } = JSON.parse(text) as Answer;
    if (errors.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED')) refuseSession();
    const bytes = new Blob([text]).size;
    update(() => ({ ms: performance.now() - begin, bytes, error: errors[0]?.message }));
    return new Response(text, { status: response.status, headers: response.headers });
  } catch (error) {
    update(() => ({ ms: performance.now() - begin, error: (error as Error).message }));
    throw error;
  }
}
