import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { useServer } from 'graphql-ws/use/ws';
import { createSchema, createYoga } from 'graphql-yoga';
import { WebSocketServer } from 'ws';

// The floor of every GraphQL server: our schema, plain Yoga and graphql-ws, and constant answers. A run consists only of its
// events, made once and sent to every subscriber.

const SCHEMA = path.join(import.meta.dirname, '../../../schema.graphql');
const CHUNKS = 200;

interface Run {
  events: object[];
  isOver: boolean;
  /** Wakes the readers at the end of the list. */
  changed: EventEmitter;
}

interface RunInput {
  assistantId: string;
  threadId?: string | null;
  afterSeconds?: number | null;
  input: { count?: number; pauseMs?: number };
}

const runs = new Map<string, Run>();
let created = 0;

function start({ assistantId, threadId, afterSeconds, input }: RunInput) {
  const id = `run-${++created}`;
  const run: Run = { events: [], isOver: false, changed: new EventEmitter().setMaxListeners(0) };
  runs.set(id, run);
  const emit = (event: object) => {
    run.events.push({ id: `${id}-${run.events.length}`, ...event });
    run.changed.emit('event');
  };
  void (async () => {
    if (afterSeconds) await sleep(afterSeconds * 1000, undefined, { ref: false });
    emit({ __typename: 'RunStartedEvent' });
    const chunks = assistantId === 'tokens' ? (input.count ?? CHUNKS) : 0;
    for (let i = 0; i < chunks; i++) {
      if (input.pauseMs) await sleep(input.pauseMs);
      const message = { messageId: id, type: 'AI', text: `${Date.now()} ` };
      emit({ __typename: 'MessagesEvent', isChunk: true, message });
    }
    emit({ __typename: 'UpdatesEvent', node: 'node1', update: { messages: [] } });
    run.isOver = true;
    emit({ __typename: 'RunFinishedEvent', status: 'SUCCESS' });
  })();
  return { id, threadId, status: 'SUCCESS', output: { messages: [] } };
}

/** The events of a run, as the field of a subscription. */
async function* read(id: string, field: 'runEvents' | 'streamRun') {
  const run = runs.get(id);
  if (!run) return;
  for (let next = 0; ;) {
    while (next < run.events.length) yield { [field]: run.events[next++] };
    if (run.isOver) return;
    await once(run.changed, 'event');
  }
}

const yoga = createYoga({
  schema: createSchema({
    typeDefs: await readFile(SCHEMA, 'utf8'),
    resolvers: {
      Mutation: { createRun: (_root, { input }: { input: RunInput }) => start(input) },
      Subscription: {
        runEvents: {
          subscribe: (_root, { runId }: { runId: string }) => read(runId, 'runEvents'),
        },
        streamRun: {
          subscribe: (_root, { input }: { input: RunInput }) => read(start(input).id, 'streamRun'),
        },
      },
    },
  }),
  logging: false,
});

const server = createServer((request, response) => void yoga(request, response));
const { execute, subscribe } = yoga.getEnveloped({});
useServer(
  {
    execute,
    subscribe,
    async onSubscribe({ extra }, _id, params) {
      const { schema, contextFactory, parse, validate } = yoga.getEnveloped({
        req: extra.request,
        params,
      });
      const document = parse(params.query);
      const errors = validate(schema, document);
      if (errors.length > 0) return errors;
      return {
        schema,
        operationName: params.operationName,
        document,
        variableValues: params.variables,
        contextValue: await contextFactory(),
      };
    },
  },
  new WebSocketServer({ server, path: '/graphql' }),
);
server.listen(Number(process.env['PORT']), '127.0.0.1');
