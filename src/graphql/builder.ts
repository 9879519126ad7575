import SchemaBuilder from '@pothos/core';
import PrismaPlugin from '@pothos/plugin-prisma';
import RelayPlugin from '@pothos/plugin-relay';
import type { ClientApp } from '../app.ts';
import type PrismaTypes from '../generated/pothos.ts';
import { getDatamodel } from '../generated/pothos.ts';

/** Any JSON value, of an argument or of a result. */
export type Json = unknown;
export type JsonObject = Record<string, unknown>;

/** The schema files of each domain add their types and fields to this builder; index.ts builds the schema. */
export const builder = new SchemaBuilder<{
  Context: ClientApp;
  PrismaTypes: PrismaTypes;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
  DefaultNodeNullability: false;
  Connection: { count: () => Promise<number> };
  Scalars: {
    ID: { Input: string; Output: string };
    JSON: { Input: Json; Output: Json };
    JSONObject: { Input: JsonObject; Output: Json };
    DateTime: { Input: Date; Output: Date };
  };
}>({
  plugins: [RelayPlugin, PrismaPlugin],
  defaultFieldNullability: false,
  prisma: { client: (app) => app.db, dmmf: getDatamodel() },
  relay: {
    cursorType: 'String',
    nodesOnConnection: true,
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    edgesFieldOptions: { nullable: { list: false, items: false } },
    nodeFieldOptions: { nullable: false },
    nodeTypeOptions: {
      description: 'An object with a server-wide unique UUID, readable by `node(id)`.',
    },
  },
});

const NULLABLE =
  'A field that fails is null, with its error; the other fields of the operation have their results.';
builder.queryType({ description: NULLABLE });
builder.mutationType({ description: NULLABLE });
builder.subscriptionType({});

export const OrderDirection = builder.enumType('OrderDirection', { values: ['ASC', 'DESC'] });
