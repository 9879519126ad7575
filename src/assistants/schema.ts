import { GraphRef } from '../graphs/schema.ts';
import { builder, OrderDirection } from '../schema/builder.ts';
import { connectionOf, forwardArgs, pageArgs } from '../schema/connection.ts';
import { IfExists } from '../schema/if-exists.ts';
import { NodeRef } from '../schema/node.ts';
import { createAssistant } from './create.ts';
import { deleteAssistant } from './delete.ts';
import { findAssistant, searchAssistants } from './search.ts';
import { listVersions, setAssistantVersion, updateAssistant } from './versions.ts';

const CONFIG =
  "LangGraph's configuration of the assistant's runs: `configurable`, `tags`, `metadata`, `recursion_limit`.";
const CONTEXT = 'What the nodes of its runs get as `runtime.context`.';
const METADATA =
  'Whatever its users keep with it. A default assistant says `"created_by": "system"`.';

const AssistantVersionRef = builder.prismaObject('AssistantVersion', {
  description: 'What an assistant was at one time. Never changed once made.',
  fields: (t) => ({
    version: t.exposeInt('version', { description: 'From 1.' }),
    graphId: t.exposeID('graphId'),
    name: t.exposeString('name'),
    description: t.exposeString('description', { nullable: true }),
    config: t.expose('config', { type: 'JSONObject', description: CONFIG }),
    context: t.expose('context', { type: 'JSONObject', description: CONTEXT }),
    metadata: t.expose('metadata', { type: 'JSONObject', description: METADATA }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});

const AssistantVersionConnection = connectionOf(AssistantVersionRef, 'AssistantVersion');

export const AssistantRef = builder.prismaObject('Assistant', {
  description:
    'A graph with a configuration. Each graph has one from the start, under its own name.',
  interfaces: [NodeRef],
  fields: (t) => ({
    graph: t.field({ type: GraphRef, resolve: ({ graphId }) => ({ id: graphId }) }),
    graphId: t.exposeID('graphId'),
    name: t.exposeString('name'),
    description: t.exposeString('description', { nullable: true }),
    config: t.expose('config', { type: 'JSONObject', description: CONFIG }),
    context: t.expose('context', { type: 'JSONObject', description: CONTEXT }),
    metadata: t.expose('metadata', { type: 'JSONObject', description: METADATA }),
    version: t.exposeInt('version', { description: 'The active version, from 1.' }),
    versions: t.field({
      type: AssistantVersionConnection,
      description: 'Newest first, whichever is active.',
      args: forwardArgs(t),
      resolve: ({ id }, args, app) => listVersions(app, id, args),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When a version was made or set active.',
    }),
  }),
});

const AssistantConnection = connectionOf(AssistantRef, 'Assistant', { totalCount: true });

const AssistantFilter = builder.inputType('AssistantFilter', {
  description: 'All that is given must hold.',
  fields: (t) => ({
    ids: t.idList({ description: '1 to 100 UUIDs.' }),
    graphId: t.id(),
    name: t.string({ description: 'A part of the name, in any case.' }),
    metadata: t.field({
      type: 'JSONObject',
      description: "Contained in the assistant's metadata, as PostgreSQL's jsonb @> means it.",
    }),
  }),
});

const AssistantOrderField = builder.enumType('AssistantOrderField', {
  description:
    'Assistants that are alike in the field are ordered by id. Under NAME, GRAPH_ID and UPDATED_AT an assistant that changes between two pages moves: it may come twice, or not at all.',
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
    description: "By UUID, or a graph's name for its default assistant. Null where there is none.",
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => findAssistant(app, id),
  }),
  assistants: t.field({
    type: AssistantConnection,
    description: 'Search. The newest first, unless another order is given.',
    args: {
      filter: t.arg({ type: AssistantFilter }),
      orderBy: t.arg({ type: AssistantOrder }),
      ...pageArgs(t),
    },
    resolve: (_root, args, app) => searchAssistants(app, args),
  }),
}));

const CreateAssistantInput = builder.inputType('CreateAssistantInput', {
  fields: (t) => ({
    id: t.id({
      description: 'A UUID that no assistant, thread or run has; made up where it is not given.',
    }),
    graphId: t.id({ required: true }),
    name: t.string({ description: 'At most 255 characters; "Untitled" where it is not given.' }),
    description: t.string(),
    config: t.field({ type: 'JSONObject', description: CONFIG }),
    context: t.field({ type: 'JSONObject', description: CONTEXT }),
    metadata: t.field({
      type: 'JSONObject',
      description: 'Whatever its users keep with it; runs get it as part of theirs.',
    }),
    ifExists: t.field({ type: IfExists, required: true, defaultValue: 'RAISE' }),
  }),
});

const UpdateAssistantInput = builder.inputType('UpdateAssistantInput', {
  description:
    'What is given replaces the old value; metadata is merged, key by key. Every update makes a new version. A null ' +
    'description clears it, a null in metadata removes its key; any other null counts as not given.',
  fields: (t) => ({
    graphId: t.id(),
    name: t.string({ description: 'At most 255 characters.' }),
    description: t.string(),
    config: t.field({ type: 'JSONObject', description: CONFIG }),
    context: t.field({ type: 'JSONObject', description: CONTEXT }),
    metadata: t.field({ type: 'JSONObject' }),
  }),
});

const ASSISTANT_ID = "A UUID, or a graph's name for its default assistant.";

builder.mutationFields((t) => ({
  createAssistant: t.field({
    type: AssistantRef,
    description: 'Makes an assistant, at version 1.',
    args: { input: t.arg({ type: CreateAssistantInput, required: true }) },
    resolve: (_root, { input }, app) => createAssistant(app, input),
  }),
  updateAssistant: t.field({
    type: AssistantRef,
    description:
      'Makes a new version, numbered after the newest, and the active one. The default assistant of a graph keeps its graph.',
    args: {
      id: t.arg.id({ required: true, description: ASSISTANT_ID }),
      input: t.arg({ type: UpdateAssistantInput, required: true }),
    },
    resolve: (_root, { id, input }, app) => updateAssistant(app, id, input),
  }),
  setAssistantVersion: t.field({
    type: AssistantRef,
    description: 'Makes a version the active one again, all of it.',
    args: {
      id: t.arg.id({ required: true, description: ASSISTANT_ID }),
      version: t.arg.int({ required: true }),
    },
    resolve: (_root, { id, version }, app) => setAssistantVersion(app, id, version),
  }),
  deleteAssistant: t.field({
    type: 'ID',
    description:
      'The assistant with its versions; its runs stay. The default assistants of the graphs cannot be deleted.',
    args: { id: t.arg.id({ required: true, description: ASSISTANT_ID }) },
    resolve: (_root, { id }, app) => deleteAssistant(app, id),
  }),
}));
