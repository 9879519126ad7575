// What `npm start` runs. tsx, which loads the sources, makes every module that is loaded after it take twice as long: the
// dependencies that consist of many come first.
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
await import('tsx');
await import('./main.ts');
