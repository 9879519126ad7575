import { CheckpointRef } from '../checkpoints/schema.ts';
import { builder } from '../graphql/builder.ts';
import { STATE_COST } from '../graphql/cost.ts';
import { debugDataOf, toolDataOf, valuesOfEvent } from '../runs/event-values.ts';
import type { StoredEvent } from './event.ts';
import { dataOf, RunEventRef, stateOf } from './schema-event.ts';

/** Allowed by the server's validation, but possibly refused by a client's (validation.ts). */
const TOGETHER =
  'A selection may combine it with `data` of all event types, although the types differ.';

builder.objectRef<StoredEvent>('CustomEvent').implement({
  description: 'Data from the stream writer of a node.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    data: t.field({
      type: 'JSON',
      nullable: true,
      description: `The data as the node wrote it. ${TOGETHER}`,
      resolve: (event) => dataOf(event)['data'],
    }),
  }),
});

builder.objectRef<StoredEvent>('TasksEvent').implement({
  description: 'A task started (with its input) or ended (with its result or error).',
  interfaces: [RunEventRef],
  fields: (t) => ({
    data: t.field({
      type: 'JSONObject',
      description: `Stream data of LangGraph's mode tasks. ${TOGETHER}`,
      resolve: dataOf,
    }),
  }),
});

builder.objectRef<StoredEvent>('CheckpointsEvent').implement({
  description: 'A new checkpoint.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    checkpointId: t.id({ resolve: (event) => String(dataOf(event)['checkpointId']) }),
    data: t.field({
      extensions: STATE_COST,
      type: 'JSONObject',
      description: "LangGraph's `checkpoints` stream data: values, next, tasks and metadata.",
      resolve: async (event, _args, app) => {
        const { checkpointId: _, parentId: _parent, ...data } = dataOf(event);
        return { ...data, values: await valuesOfEvent(app, event) };
      },
    }),
    checkpoint: t.field({
      type: CheckpointRef,
      nullable: true,
      description: 'Null if the run does not store this checkpoint (durability EXIT).',
      resolve: (event, _args, app) => stateOf(app, event),
    }),
  }),
});

builder.objectRef<StoredEvent>('DebugEvent').implement({
  description: 'A new checkpoint, or a task that started or ended, with the number of its step.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    data: t.field({
      extensions: STATE_COST,
      type: 'JSONObject',
      description: `LangGraph's \`debug\` stream data: step, type (checkpoint, task or task_result), timestamp and payload. The payload of a checkpoint has values, next, tasks and metadata, and the ids of the checkpoint and its parent in the keys \`config\`, \`parent_config\`, \`checkpoint\` and \`parent_checkpoint\`. ${TOGETHER}`,
      resolve: (event, _args, app) => debugDataOf(app, event),
    }),
  }),
});

builder.objectRef<StoredEvent>('ToolsEvent').implement({
  description: 'A call of a tool started, had a partial result, ended or failed.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    data: t.field({
      type: 'JSONObject',
      description: `LangGraph's \`tools\` stream data: event, toolCallId and name; with the event on_tool_start also input, with on_tool_event data, with on_tool_end output, with on_tool_error error. toolCallId is absent for a call without an id. ${TOGETHER}`,
      resolve: toolDataOf,
    }),
  }),
});

builder.objectRef<StoredEvent>('LangChainEvent').implement({
  description:
    'An event of LangChain, of the mode EVENTS. It has no namespace, even in a subgraph: parent_ids and metadata.langgraph_checkpoint_ns in its data show its place.',
  interfaces: [RunEventRef],
  fields: (t) => ({
    data: t.field({
      type: 'JSONObject',
      description: `An event as from LangChain's \`streamEvents\` version v2: event, name, run_id, parent_ids, tags, metadata and data. The graph itself has no on_chain_stream event. ${TOGETHER}`,
      resolve: dataOf,
    }),
  }),
});
