import type { VariablesOf } from 'gql.tada';
import { expect } from 'vitest';
import { until, type FollowedEvent, type FollowOptions, type TestApp } from './app.ts';
import { operation, type Values, type AnswerTo } from './graphql.ts';

export const CREATE_RUN = operation(`
  mutation CreateRun($input: CreateRunInput!, $wait: Boolean! = false) {
    createRun(input: $input, wait: $wait) {
      id
      status
      threadId
      output
      error {
        name
        message
      }
    }
  }
`);

export const CREATE_THREAD = operation(`
  mutation CreateThread($input: CreateThreadInput) {
    createThread(input: $input) {
      id
      status
      metadata
      values
      createdAt
      updatedAt
    }
  }
`);

const RUN = operation(`
  query Run($id: ID!) {
    run(id: $id) {
      id
      status
      threadId
      attempt
      output
      error {
        name
        message
      }
      interrupts {
        id
        value
      }
      startedAt
      finishedAt
      multitaskStrategy
    }
  }
`);

const THREAD = operation(`
  query Thread($id: ID!) {
    thread(id: $id) {
      id
      status
      values
      error {
        name
        message
      }
      metadata
      interrupts {
        id
        value
        node
        checkpointId
        checkpointNamespace
      }
      state {
        checkpointId
        next
      }
      runs(first: 100) {
        totalCount
        nodes {
          id
          status
        }
      }
      history(first: 100) {
        totalCount
        nodes {
          checkpointId
          parentCheckpointId
          source
          step
          runId
          values
        }
      }
    }
  }
`);

const CANCEL_RUN = operation(`
  mutation CancelRun($id: ID!) {
    cancelRun(id: $id, wait: true) {
      id
    }
  }
`);

const COPY_THREAD = operation(`
  mutation CopyThread($id: ID!) {
    copyThread(id: $id) {
      id
    }
  }
`);

export type RunInput = VariablesOf<typeof CREATE_RUN>['input'];
export type ThreadInput = NonNullable<VariablesOf<typeof CREATE_THREAD>['input']>;

type CreatedRun = WithOutput<AnswerTo<typeof CREATE_RUN>['createRun']>;
type Run = WithOutput<NonNullable<AnswerTo<typeof RUN>['run']>>;
type Thread = WithValues<NonNullable<AnswerTo<typeof THREAD>['thread']>>;

/** The output of a run of a test graph. Its type is never null, because a test reads a channel only of a run with an output. */
type WithOutput<Answer> = Omit<Answer, 'output'> & { output: Values };
type WithValues<Answer> = Omit<Answer, 'values'> & { values: Values };

/** A client of one server: sends documents, and has a verb for each operation that many tests repeat. */
export interface Client extends Pick<TestApp, 'url' | 'gql' | 'errors' | 'request' | 'subscribe'> {
  /** Follows a run to its end and returns all its events. */
  follow(runId: string, options?: FollowOptions): Promise<FollowedEvent[]>;
  /** Creates a thread and returns its id. */
  createThread(input?: ThreadInput): Promise<string>;
  startRun(input: RunInput): Promise<CreatedRun>;
  runToEnd(input: RunInput): Promise<CreatedRun>;
  /** Returns the extensions of the error for a run that the server refuses. */
  refusal(input: Record<string, unknown>): Promise<Record<string, unknown> | undefined>;
  /** Fails the test if the server has no such run. */
  getRun(id: string): Promise<Run>;
  findRun(id: string): Promise<Run | null>;
  /** Fails the test if the server has no such thread. */
  getThread(id: string): Promise<Thread>;
  findThread(id: string): Promise<Thread | null>;
  /** Cancels a run and waits for its end. */
  cancelRun(id: string): Promise<void>;
  /** Copies a thread and returns the id of the copy. */
  copyThread(id: string): Promise<string>;
  /** Follows a run to its end and returns the run. */
  untilEnded(id: string): Promise<Run>;
  untilRunning(id: string): Promise<void>;
}

export type { CreatedRun, Run, Thread };

export function createClient(server: TestApp): Client {
  const create = async (input: RunInput, wait: boolean) =>
    (await server.gql(CREATE_RUN, { input, wait })).createRun as CreatedRun;
  const findRun = async (id: string) => (await server.gql(RUN, { id })).run as Run | null;
  const findThread = async (id: string) =>
    (await server.gql(THREAD, { id })).thread as Thread | null;
  const getRun = async (id: string) => (await findRun(id)) ?? expect.fail(`No run ${id}`);
  return {
    url: server.url,
    gql: server.gql,
    errors: server.errors,
    request: server.request,
    subscribe: server.subscribe,
    follow: server.follow,
    createThread: async (input) => (await server.gql(CREATE_THREAD, { input })).createThread.id,
    startRun: (input) => create(input, false),
    runToEnd: (input) => create(input, true),
    refusal: async (input) => (await server.errors(CREATE_RUN, { input }))[0]?.extensions,
    getRun,
    findRun,
    getThread: async (id) => (await findThread(id)) ?? expect.fail(`No thread ${id}`),
    findThread,
    async cancelRun(id) {
      await server.gql(CANCEL_RUN, { id });
    },
    copyThread: async (id) => (await server.gql(COPY_THREAD, { id })).copyThread.id,
    async untilEnded(id) {
      await server.follow(id, { modes: [] });
      return getRun(id);
    },
    async untilRunning(id) {
      await until(async () => (await getRun(id)).status === 'RUNNING');
    },
  };
}

/** The type of an event with its attempt, node or status. */
export function summaryOf(event: FollowedEvent): string {
  const { __typename } = event;
  if (__typename === 'RunStartedEvent') return `${__typename} ${event.attempt}`;
  if (__typename === 'UpdatesEvent') return `${__typename} ${event.node}`;
  return __typename === 'RunFinishedEvent' ? `${__typename} ${event.status}` : __typename;
}

/** Returns the events of a type, in order. */
export function ofType<Event extends { __typename: string }, Type extends Event['__typename']>(
  events: readonly Event[],
  type: Type,
): Extract<Event, { __typename: Type }>[] {
  return events.filter(
    (event): event is Extract<Event, { __typename: Type }> => event.__typename === type,
  );
}

/** Returns the nodes of the update events, in order. */
export function nodesOf(events: FollowedEvent[]): string[] {
  return events.flatMap((event) => (event.__typename === 'UpdatesEvent' ? event.node : []));
}
