import type { SentOperation } from '../data/operations.ts';
import type { Credential } from '../data/session.ts';

type Operation = Pick<SentOperation, 'kind' | 'document' | 'variables'>;

/** Headers with placeholders: a shell puts the credential in. The credential itself is never copied. */
const PLACEHOLDERS: Record<Credential['kind'], string> = {
  key: 'x-api-key: $THREADQL_API_KEY',
  token: 'authorization: Bearer $THREADQL_TOKEN',
};

/** The operation as a command of a shell. A subscription arrives as server-sent events. */
export function curlOf(
  { kind, document, variables }: Operation,
  { url, credential }: { url: string; credential: Credential['kind'] | undefined },
): string {
  const body = JSON.stringify({ query: document, variables });
  return [
    `curl ${kind === 'subscription' ? '-N ' : ''}${quoted(url)}`,
    `-H 'content-type: application/json'`,
    kind === 'subscription' && `-H 'accept: text/event-stream'`,
    credential && `-H "${PLACEHOLDERS[credential]}"`,
    `--data-binary ${quoted(body)}`,
  ]
    .filter(Boolean)
    .join(' \\\n  ');
}

/** A server refuses a URL of more than 16 KB with its headers. */
const LONGEST_URL = 8000;

/** The address of GraphiQL with the operation in it. Undefined if it is too long for an address. */
export function graphiqlUrl({ document, variables }: Operation, url: string): string | undefined {
  const address = new URL(url);
  address.searchParams.set('query', document);
  if (Object.keys(variables).length > 0) {
    address.searchParams.set('variables', JSON.stringify(variables, null, 2));
  }
  return address.href.length > LONGEST_URL ? undefined : address.href;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** "340 B", "1.2 kB", "3.4 MB". */
export function byteSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
