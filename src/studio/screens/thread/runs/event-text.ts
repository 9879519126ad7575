import { isEnd } from '../../graphs/marks.ts';
import type { ListedEvent } from './documents.ts';
import { errorOf } from './gantt.ts';

const NAMES: Record<ListedEvent['__typename'], string> = {
  RunStartedEvent: 'Start',
  RunFinishedEvent: 'End',
  InterruptEvent: 'Question',
  StreamGapEvent: 'Gap',
  TasksEvent: 'Task',
  UpdatesEvent: 'Update',
  ValuesEvent: 'Values',
  MessagesEvent: 'Message',
  CustomEvent: 'Custom',
  ToolsEvent: 'Tool',
  CheckpointsEvent: 'Checkpoint',
  DebugEvent: 'Debug',
  LangChainEvent: 'LangChain',
};

/** The kind of an event, as a word. */
export function kindOf({ __typename }: ListedEvent): string {
  return NAMES[__typename];
}

/** An event in one line. */
export function lineOf(event: ListedEvent): string {
  switch (event.__typename) {
    case 'RunStartedEvent':
      return event.attempt > 1
        ? `Attempt ${event.attempt}, from checkpoint ${event.startsFrom ?? 'of the input'}`
        : 'A worker started the run';
    case 'RunFinishedEvent':
      return event.error ? `${event.error.name}: ${event.error.message}` : event.status;
    case 'InterruptEvent':
      return `Waits for an answer at ${event.interrupts.map(({ node }) => node).join(', ')}`;
    case 'StreamGapEvent':
      return 'The events before this time have expired';
    case 'TasksEvent':
      return taskLine(event.task);
    case 'UpdatesEvent':
      return `${event.node} wrote`;
    case 'MessagesEvent':
      return event.message.text || `${event.message.type.toLowerCase()} message`;
    case 'CustomEvent':
      return JSON.stringify(event.custom ?? null);
    case 'ToolsEvent':
      return [event.tool['name'], event.tool['event']].filter(Boolean).join(' · ');
    case 'CheckpointsEvent':
      return event.checkpointId;
    case 'ValuesEvent':
    case 'DebugEvent':
    case 'LangChainEvent':
    default:
      return '';
  }
}

function taskLine(task: Record<string, unknown>): string {
  const name = String(task['name']);
  if (!isEnd(task)) return `${name} started`;
  const error = errorOf(task);
  return error === undefined ? `${name} ended` : `${name} failed: ${error}`;
}

/** The data that the list has of an event; undefined if it must be read. */
export function dataOf(event: ListedEvent): unknown {
  if (event.__typename === 'TasksEvent') return event.task;
  if (event.__typename === 'CustomEvent') return event.custom;
  if (event.__typename === 'ToolsEvent') return event.tool;
  return IS_READ_LATER.has(event.__typename) ? undefined : event;
}

const IS_READ_LATER = new Set<string>([
  'UpdatesEvent',
  'ValuesEvent',
  'CheckpointsEvent',
  'DebugEvent',
  'LangChainEvent',
] satisfies ListedEvent['__typename'][]);
