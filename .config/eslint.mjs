// Lints schema.graphql with the recommended rules of graphql-eslint and its rules for Relay. Oxlint lints everything else.
import graphql from '@graphql-eslint/eslint-plugin';

const { 'flat/schema-recommended': recommended, 'flat/schema-relay': relay } = graphql.configs;

export default [
  {
    files: ['schema.graphql'],
    plugins: { '@graphql-eslint': graphql },
    languageOptions: {
      parser: graphql.parser,
      parserOptions: { graphQLConfig: { schema: 'schema.graphql' } },
    },
    rules: {
      ...recommended.rules,
      ...relay.rules,
      // Objects without an `id` are values: a client finds them as a part of an object with an `id`, or by several fields, such
      // as `threadId` and `checkpointId`.
      '@graphql-eslint/strict-id-in-types': 'off',
      // test/schema-docs.test.ts has a stricter rule for descriptions, and leaves out these types: their names say enough.
      '@graphql-eslint/require-description': [
        'error',
        {
          types: true,
          DirectiveDefinition: true,
          rootField: true,
          ignoredSelectors: [
            'ObjectTypeDefinition[name.value=/(Connection|Edge)$/]',
            'InputObjectTypeDefinition[name.value=/(Input|Order)$/]',
            '[name.value=/^(OrderDirection|PageInfo|Query|Mutation|Subscription)$/]',
          ],
        },
      ],
      '@graphql-eslint/relay-edge-types': [
        'error',
        {
          withEdgeSuffix: true,
          // `nodes` is a list of objects: clients without paging need no edges. Lists of few values have no pages at all.
          listTypeCanWrapOnlyEdgeType: false,
          // Versions and checkpoints have pages, but no id of their own.
          shouldImplementNode: false,
        },
      ],
      '@graphql-eslint/relay-arguments': ['error', { includeBoth: true }],
      // No field has the type ErrorCode: its values are in `extensions.code` of errors, and clients generate types from it.
      '@graphql-eslint/no-unreachable-types': 'off',
      // `checkpointId`, `messageId`, `taskId` and `toolCallId` are ids of LangGraph, and unique in their thread or message only.
      // A cache would take `id` for an id of the whole server.
      '@graphql-eslint/no-typename-prefix': 'off',
    },
  },
];
