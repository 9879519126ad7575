import { z } from 'zod';
import { parseUuid } from '../db/uuid.ts';
import { json, route } from '../rest/route.ts';
import { CREATES } from './rest-common.ts';
import { answerCommand, CommandBody } from './rest-protocol-commands.ts';
import { EventFilter } from './rest-protocol-filter.ts';
import { streamProtocol } from './rest-protocol-stream.ts';

const tag = 'Protocol';

/** LangGraph's protocol of event streams: the routes of `client.threads.stream()` and `@langchain/react`. */
export const protocolRoutes = [
  route({
    method: 'POST',
    path: '/threads/{thread_id}/commands',
    tag,
    summary: 'Starts a run (run.start, also on a new thread) or answers questions (input.respond).',
    access: [...CREATES, 'threads:read'],
    body: CommandBody,
    answers: {
      200: z.looseObject({ type: z.enum(['success', 'error']), id: z.number() }),
    },
    changes: true,
    async handle(call) {
      parseUuid('thread_id', call.params.thread_id);
      return json(await answerCommand(call));
    },
  }),
  route({
    method: 'POST',
    path: '/threads/{thread_id}/stream/events',
    tag,
    summary:
      'Streams events of a thread: those of the current run from its start, and those of all later runs, until the client leaves.',
    access: ['threads:read'],
    body: EventFilter,
    answers: { 200: 'Server-Sent Events' },
    handle: (call) => streamProtocol(call, parseUuid('thread_id', call.params.thread_id)),
  }),
];
