import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { compress, type Encoding } from '../http/encoding.ts';

/** A file of the page. Its name has the hash of its content, so a browser asks for it once. */
export interface Asset {
  name: string;
  type: string;
  content: string | Buffer;
  /** The content in an encoding. The server compresses it once. */
  encoded(encoding: Encoding): Promise<Buffer>;
}

export type GraphiqlAssets = Awaited<ReturnType<typeof loadAssets>>;

const JAVASCRIPT = 'text/javascript; charset=utf-8';
const CSS = 'text/css; charset=utf-8';

/** Loads the files of GraphiQL: nine megabytes, at the first request. */
export async function loadAssets() {
  const graphiql = await import('@graphql-yoga/render-graphiql/graphiql');
  const ownFile = (name: string) => readFile(path.join(import.meta.dirname, 'browser', name));
  const client = createRequire(import.meta.url).resolve('graphql-ws/package.json');
  return {
    graphiql: asset('graphiql.js', JAVASCRIPT, withHistory(graphiql.js)),
    graphqlWs: asset(
      'graphql-ws.js',
      JAVASCRIPT,
      await readFile(path.join(path.dirname(client), 'umd/graphql-ws.min.js')),
    ),
    page: asset('page.js', JAVASCRIPT, await ownFile('page.js')),
    editorWorker: asset('editor-worker.js', JAVASCRIPT, graphiql.editorWorkerService),
    graphqlWorker: asset('graphql-worker.js', JAVASCRIPT, graphiql.graphqlWorker),
    jsonWorker: asset('json-worker.js', JAVASCRIPT, graphiql.jsonWorker),
    graphiqlStyle: asset('graphiql.css', CSS, graphiql.css),
    pageStyle: asset('page.css', CSS, await ownFile('page.css')),
    icon: asset('icon.svg', 'image/svg+xml', await ownFile('icon.svg')),
  };
}

/** The bundle contains GraphiQL's history of operations, but leaves it out of the list of plugins. */
function withHistory(bundle: string): string {
  const [, history] = /([\w$]+)=\{title:"History"/.exec(bundle) ?? [];
  if (!history) return bundle;
  return bundle.replace(/plugins:\[(?=[\w$]+\],schemaDescription:)/, () => `plugins:[${history},`);
}

function asset(file: string, type: string, content: string | Buffer): Asset {
  const hash = createHash('sha256').update(content).digest('base64url').slice(0, 16);
  const { name, ext } = path.parse(file);
  const encoded = new Map<Encoding, Promise<Buffer>>();
  return {
    name: `${name}.${hash}${ext}`,
    type,
    content,
    encoded(encoding) {
      const bytes = encoded.get(encoding) ?? compress(content, encoding);
      encoded.set(encoding, bytes);
      return bytes;
    },
  };
}
