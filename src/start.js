// The entry of `npm start`. tsx loads the sources, and doubles the load time of each later module: so the dependencies with
// many modules come first. The first answer comes after 2.1 s instead of 2.4 s.
await Promise.all(
  [
    '@langchain/core/load',
    '@langchain/core/utils/json_schema',
    '@langchain/langgraph',
    '@langchain/langgraph/zod',
    '@pothos/core',
    '@pothos/plugin-prisma',
    '@pothos/plugin-relay',
    '@prisma/adapter-pg',
    '@prisma/client/runtime/client',
    'graphql-query-complexity',
    'graphql-scalars',
    'graphql-ws/use/ws',
    'graphql-yoga',
    'pino',
    'ws',
  ].map((name) => import(name)),
);
const { register } = await import('tsx/esm/api');
// No tsconfig.json here: the `paths` of a served project must not redirect the imports of these sources.
const unregister = register({ tsconfig: false });
const { main } = await import('./main.ts');
await unregister();
await main();
