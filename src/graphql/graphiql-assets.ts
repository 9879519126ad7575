import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { hashedAsset } from '../http/assets.ts';

export type GraphiqlAssets = Awaited<ReturnType<typeof loadAssets>>;

/** Loads the files of GraphiQL: nine megabytes, at the first request. */
export async function loadAssets() {
  const graphiql = await import('@graphql-yoga/render-graphiql/graphiql');
  const ownFile = (name: string) => readFile(path.join(import.meta.dirname, 'browser', name));
  const client = createRequire(import.meta.url).resolve('graphql-ws/package.json');
  return {
    graphiql: hashedAsset('graphiql.js', withHistory(graphiql.js)),
    graphqlWs: hashedAsset(
      'graphql-ws.js',
      await readFile(path.join(path.dirname(client), 'umd/graphql-ws.min.js')),
    ),
    page: hashedAsset('page.js', await ownFile('page.js')),
    editorWorker: hashedAsset('editor-worker.js', graphiql.editorWorkerService),
    graphqlWorker: hashedAsset('graphql-worker.js', graphiql.graphqlWorker),
    jsonWorker: hashedAsset('json-worker.js', graphiql.jsonWorker),
    graphiqlStyle: hashedAsset('graphiql.css', graphiql.css),
    pageStyle: hashedAsset('page.css', await ownFile('page.css')),
    icon: hashedAsset('icon.svg', await ownFile('icon.svg')),
  };
}

/** The bundle contains GraphiQL's history of operations, but leaves it out of the list of plugins. */
function withHistory(bundle: string): string {
  const [, history] = /([\w$]+)=\{title:"History"/.exec(bundle) ?? [];
  if (!history) return bundle;
  return bundle.replace(/plugins:\[(?=[\w$]+\],schemaDescription:)/, () => `plugins:[${history},`);
}
