import { builder, OrderDirection } from '../graphql/builder.ts';
import { connectionOf, pageArgs } from '../graphql/connection.ts';
import { IfExists, IS_NEW } from '../graphql/if-exists.ts';
import { NodeRef } from '../graphql/node.ts';
import { GraphRef } from '../graphs/schema.ts';
import { createAssistant } from './create.ts';
import { deleteAssistant } from './delete.ts';
import { findAssistant, searchAssistants } from './search.ts';
import { listVersions, setAssistantVersion, updateAssistant } from './versions.ts';

const CONFIG =
  "LangGraph configuration of the assistant's runs: `configurable`, `tags`, `metadata`, `recursion_limit`.";
const CONTEXT = 'Value of `runtime.context` in the nodes of its runs.';
const SHOWN_CONTEXT = `${CONTEXT} An empty object if none is set.`;
const METADATA = 'Free metadata of the clients. A default assistant has `"created_by": "system"`.';

const AssistantVersionRef = builder.prismaObject('AssistantVersion', {
  description: 'An immutable snapshot of an assistant.',
  fields: (t) => ({
    version: t.exposeInt('version', { description: 'Version number, from 1.' }),
    graphId: t.exposeID('graphId'),
    name: t.exposeString('name'),
    description: t.exposeString('description', { nullable: true }),
    config: t.expose('config', { type: 'JSONObject', description: CONFIG }),
    context: t.field({
      type: 'JSONObject',
      description: SHOWN_CONTEXT,
      resolve: ({ context }) => context ?? {},
    }),
    metadata: t.expose('metadata', { type: 'JSONObject', description: METADATA }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});

const AssistantVersionConnection = connectionOf(AssistantVersionRef, 'AssistantVersion');

export const AssistantRef = builder.prismaObject('Assistant', {
  description:
    'A graph with a configuration. Each graph has a default assistant under its own name.',
  interfaces: [NodeRef],
  fields: (t) => ({
    isNew: t.boolean(IS_NEW),
    graph: t.field({ type: GraphRef, resolve: ({ graphId }) => ({ id: graphId }) }),
    graphId: t.exposeID('graphId'),
    name: t.exposeString('name'),
    description: t.exposeString('description', { nullable: true }),
    config: t.expose('config', { type: 'JSONObject', description: CONFIG }),
    context: t.field({
      type: 'JSONObject',
      description: SHOWN_CONTEXT,
      resolve: ({ context }) => context ?? {},
    }),
    metadata: t.expose('metadata', { type: 'JSONObject', description: METADATA }),
    version: t.exposeInt('version', { description: 'Number of the active version, from 1.' }),
    versions: t.field({
      type: AssistantVersionConnection,
      description: 'All versions, newest first, independent of the active version.',
      args: pageArgs(t),
      resolve: ({ id }, args, app) => listVersions(app, id, args),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Time of the last new version, or of the last setAssistantVersion.',
    }),
  }),
});

const AssistantConnection = connectionOf(AssistantRef, 'Assistant', { totalCount: true });

const AssistantFilter = builder.inputType('AssistantFilter', {
  description: 'An assistant must match all given conditions.',
  fields: (t) => ({
    ids: t.idList({ description: '1 to 100 UUIDs.' }),
    graphId: t.id(),
    name: t.string({ description: 'Part of the name, case-insensitive.' }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Must be contained in the assistant's metadata (PostgreSQL `jsonb @>`).",
    }),
  }),
});

const AssistantOrderField = builder.enumType('AssistantOrderField', {
  description:
    'Assistants with equal values are ordered by id. NAME, GRAPH_ID and UPDATED_AT can change between two pages: an assistant may then appear twice or not at all.',
  values: ['ID', 'NAME', 'GRAPH_ID', 'CREATED_AT', 'UPDATED_AT'],
});

const AssistantOrder = builder.inputType('AssistantOrder', {
  fields: (t) => ({
    field: t.field({ type: AssistantOrderField, required: true, defaultValue: 'CREATED_AT' }),
    direction: t.field({ type: OrderDirection, required: true, defaultValue: 'DESC' }),
  }),
});

builder.queryFields((t) => ({
  assistant: t.field({
    type: AssistantRef,
    nullable: true,
    description: "By UUID, or by a graph's name for its default assistant. Null if none exists.",
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => findAssistant(app, app.viewer, id),
  }),
  assistants: t.field({
    type: AssistantConnection,
    nullable: true,
    description: 'Searches assistants. Default order: newest first.',
    args: {
      filter: t.arg({ type: AssistantFilter }),
      orderBy: t.arg({ type: AssistantOrder }),
      ...pageArgs(t),
    },
    resolve: (_root, args, app) => searchAssistants(app, app.viewer, args),
  }),
}));

const CreateAssistantInput = builder.inputType('CreateAssistantInput', {
  fields: (t) => ({
    id: t.id({
      description: 'A UUID not used by any assistant, thread or run. Default: generated.',
    }),
    graphId: t.id({ required: true }),
    name: t.string({ description: 'At most 255 characters. Default: "Untitled".' }),
    description: t.string(),
    config: t.field({ type: 'JSONObject', description: CONFIG }),
    context: t.field({ type: 'JSONObject', description: CONTEXT }),
    metadata: t.field({
      type: 'JSONObject',
      description: 'Free metadata of the clients; also merged into the metadata of its runs.',
    }),
    ifExists: t.field({ type: IfExists, required: true, defaultValue: 'RAISE' }),
  }),
});

const UpdateAssistantInput = builder.inputType('UpdateAssistantInput', {
  description:
    'Given fields replace the old values; metadata is merged key by key. Every update creates a new version. A null ' +
    'description removes the description, and a null in metadata removes its key. Any further null is ignored.',
  fields: (t) => ({
    graphId: t.id(),
    name: t.string({ description: 'At most 255 characters.' }),
    description: t.string(),
    config: t.field({ type: 'JSONObject', description: CONFIG }),
    context: t.field({ type: 'JSONObject', description: CONTEXT }),
    metadata: t.field({ type: 'JSONObject' }),
  }),
});

const ASSISTANT_ID = "An assistant's UUID, or a graph's name for its default assistant.";

builder.mutationFields((t) => ({
  createAssistant: t.field({
    type: AssistantRef,
    nullable: true,
    description: 'Creates an assistant at version 1.',
    args: { input: t.arg({ type: CreateAssistantInput, required: true }) },
    resolve: (_root, { input }, app) => createAssistant(app, app.viewer, input),
  }),
  updateAssistant: t.field({
    type: AssistantRef,
    nullable: true,
    description:
      'Creates a new version, numbered after the newest, and makes it active. The graph of a default assistant cannot change.',
    args: {
      id: t.arg.id({ required: true, description: ASSISTANT_ID }),
      input: t.arg({ type: UpdateAssistantInput, required: true }),
    },
    resolve: (_root, { id, input }, app) => updateAssistant(app, app.viewer, id, input),
  }),
  setAssistantVersion: t.field({
    type: AssistantRef,
    nullable: true,
    description: 'Makes an existing version active, with all its fields.',
    args: {
      id: t.arg.id({ required: true, description: ASSISTANT_ID }),
      version: t.arg.int({ required: true }),
    },
    resolve: (_root, { id, version }, app) => setAssistantVersion(app, app.viewer, id, version),
  }),
  deleteAssistant: t.field({
    type: 'ID',
    nullable: true,
    description:
      'Deletes the assistant with its versions and returns its id; its runs remain. CONFLICT for a default assistant.',
    args: { id: t.arg.id({ required: true, description: ASSISTANT_ID }) },
    resolve: (_root, { id }, app) => deleteAssistant(app, app.viewer, id),
  }),
}));
