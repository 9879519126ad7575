import { eventId } from '../events/event.ts';

/** An initial document in GraphiQL. */
export interface GraphiqlTab {
  /** Without variables: GraphiQL duplicates a tab with variables at each reload of the page. */
  query: string;
}

/** Ids used by the tabs. After the first tab, the tabs run unchanged, in any order and repeatedly. */
const THREAD_ID = '01900000-0000-7000-8000-000000000001';
const ASSISTANT_ID = '01900000-0000-7000-8000-000000000002';
const APPROVAL_THREAD_ID = '01900000-0000-7000-8000-000000000003';
const IMPORTED_THREAD_ID = '01900000-0000-7000-8000-000000000004';
/** A cursor before the thread's first event. */
const FROM_THE_BEGINNING = eventId({ threadId: THREAD_ID, number: 0 });

const ASK = `# 1. Create a thread if it does not exist, and ask
#    the agent a question on it.
mutation Ask {
  createThread(
    input: {
      id: "${THREAD_ID}"
      metadata: { topic: "makers" }
      ifExists: DO_NOTHING
    }
  ) {
    id
  }
  createRun(
    input: {
      threadId: "${THREAD_ID}"
      assistantId: "agent"
      input: { messages: [{ role: "user", content: "who made you?" }] }
    }
  ) {
    id
    status
  }
}
`;

const FOLLOW = `# 2. Follow the thread word by word: stored events,
#    then live events. The newest is at the top, the
#    ones before it are under "earlier". For live
#    events, ask again in a second window.
subscription Follow {
  threadEvents(
    threadId: "${THREAD_ID}"
    after: "${FROM_THE_BEGINNING}"
  ) {
    __typename
    ... on MessagesEvent {
      isChunk
      message {
        text
      }
    }
    ... on UpdatesEvent {
      node
    }
    ... on RunFinishedEvent {
      status
      error {
        message
      }
    }
  }
}
`;

const ASK_ANOTHER = `# 3. A second agent on the same thread: the same graph
#    with a different configuration. It sees the
#    messages of the first agent.
mutation AskAnother {
  createAssistant(
    input: {
      id: "${ASSISTANT_ID}"
      graphId: "agent"
      name: "openai"
      config: { configurable: { model_name: "openai" } }
      ifExists: DO_NOTHING
    }
  ) {
    name
    config
  }
  createRun(
    input: {
      threadId: "${THREAD_ID}"
      assistantId: "${ASSISTANT_ID}"
      input: { messages: [{ role: "user", content: "and you?" }] }
    }
    wait: true
  ) {
    status
    output
  }
}
`;

const STATE = `# 4. The current state of the thread, its history
#    and its runs.
query StateAndHistory {
  thread(id: "${THREAD_ID}") {
    status
    messages(last: 10) {
      type
      text
    }
    state {
      checkpointId
      next
      writes
    }
    history(first: 10) {
      totalCount
      nodes {
        checkpointId
        step
        source
        next
        createdAt
      }
    }
    runs(first: 5) {
      nodes {
        status
        assistant {
          name
        }
      }
    }
  }
}
`;

const COPY = `# 5. A copy of the thread with its whole history.
#    Original and copy are independent.
mutation Copy {
  copyThread(id: "${THREAD_ID}") {
    id
    messages(last: 10) {
      type
      text
    }
  }
}
`;

const IMPORT = `# 6. A thread with an imported conversation.
#    The agent continues it.
mutation Import {
  createThread(
    input: {
      id: "${IMPORTED_THREAD_ID}"
      graphId: "agent"
      metadata: { topic: "imports" }
      supersteps: [
        { updates: [{ asNode: "__input__", values: {} }] }
        {
          updates: [
            { asNode: "__start__", values: { messages: [{ type: "human", content: "hello" }] } }
          ]
        }
        {
          updates: [
            { asNode: "agent", values: { messages: [{ type: "ai", content: "Hello! How can I help?" }] } }
          ]
        }
      ]
      ifExists: DO_NOTHING
    }
  ) {
    id
  }
  createRun(
    input: {
      threadId: "${IMPORTED_THREAD_ID}"
      assistantId: "agent"
      input: { messages: [{ role: "user", content: "what did I say first?" }] }
    }
    wait: true
  ) {
    status
    thread {
      messages(last: 10) {
        type
        text
      }
    }
  }
}
`;

const FIND = `# 7. Find threads by status and metadata, the most
#    recent first.
query Find {
  threads(
    filter: { status: IDLE, metadata: { topic: "makers" } }
    orderBy: { field: UPDATED_AT, direction: DESC }
    first: 10
  ) {
    totalCount
    nodes {
      id
      status
      metadata
      updatedAt
    }
  }
}
`;

const STATELESS = `# 8. A run without a thread. The server deletes its
#    state at its end.
mutation Stateless {
  createRun(
    input: {
      assistantId: "agent"
      input: { messages: [{ role: "user", content: "My name is Bagatur and I am 26 years old." }] }
    }
    wait: true
  ) {
    status
    output
  }
}
`;

const STREAM = `# 9. Start a run and follow it in one operation, here
#    without a thread. The key makes it safe to repeat:
#    a second start follows the same run.
subscription Stream {
  streamRun(
    input: {
      assistantId: "agent"
      idempotencyKey: "the-first-stream"
      input: { messages: [{ role: "user", content: "My name is Bagatur and I am 26 years old." }] }
    }
    modes: [UPDATES]
  ) {
    __typename
    ... on UpdatesEvent {
      node
      update
    }
    ... on RunFinishedEvent {
      status
    }
  }
}
`;

const ASK_FIRST = `# 10. An agent with approval by a person: its run
#     ends INTERRUPTED.
mutation AskFirst {
  createRun(
    input: {
      threadId: "${APPROVAL_THREAD_ID}"
      ifThreadMissing: CREATE
      assistantId: "approval"
      input: { messages: [{ role: "user", content: "Tell ada@example.com that it works." }] }
    }
    wait: true
  ) {
    status
    interrupts {
      id
      value
    }
  }
}
`;

const OPEN_QUESTIONS = `# 11. Pending interrupts of all threads.
query OpenQuestions {
  pendingInterrupts {
    totalCount
    nodes {
      id
      threadId
      node
      value
      responseSchema
    }
  }
}
`;

const ANSWER = `# 12. The answer: the tool runs. An interrupt accepts
#     a single answer; a second answer fails.
mutation Answer {
  createRun(
    input: {
      threadId: "${APPROVAL_THREAD_ID}"
      assistantId: "approval"
      command: { resume: [{ value: { approved: true } }] }
    }
    wait: true
  ) {
    status
    thread {
      messages(last: 2) {
        type
        text
      }
    }
  }
}
`;

const TABS: (GraphiqlTab & { graphId: string })[] = [
  ...[ASK, FOLLOW, ASK_ANOTHER, STATE, COPY, IMPORT, FIND, STATELESS, STREAM].map((query) => ({
    query,
    graphId: 'agent',
  })),
  ...[ASK_FIRST, OPEN_QUESTIONS, ANSWER].map((query) => ({ query, graphId: 'approval' })),
];

/**
 * The tabs of the first visit in a browser; later, GraphiQL restores the tabs of the last visit. Includes only tabs for the
 * deployed graphs.
 */
export function graphiqlTabs(graphs: { has(id: string): boolean }): GraphiqlTab[] {
  return TABS.filter(({ graphId }) => graphs.has(graphId)).map(({ query }) => ({ query }));
}
