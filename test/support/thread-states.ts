import type { VariablesOf } from 'gql.tada';
import { expect } from 'vitest';
import type { Client, RunInput } from './client.ts';
import { operation, valuesOf } from './graphql.ts';

/** The fields of a state that tests of edits compare. */
const STATE = `
  checkpointId threadId namespace parentCheckpointId source step runId values next writes metadata
  tasks { name path error result interrupts { value } state { namespace } }`;

const READ = operation(`query ($id: ID!, $checkpointId: ID, $checkpointNamespace: String) {
  thread(id: $id) {
    state(checkpointId: $checkpointId, checkpointNamespace: $checkpointNamespace) { ${STATE} }
  }
}`);

const HISTORY = operation(`query ($id: ID!) {
  thread(id: $id) { history(first: 100) { nodes { ${STATE} } } }
}`);

export const UPDATE = operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { ${STATE} run { id } children { checkpointId } }
}`);

type Place = Omit<VariablesOf<typeof READ>, 'id'>;
export type Edit = VariablesOf<typeof UPDATE>['input'];
export type State = NonNullable<Awaited<ReturnType<typeof findState>>>;

/** Reads the newest state of a thread, or the state of a checkpoint or of a subgraph. */
export async function findState(client: Client, id: string, place: Place = {}) {
  const { thread } = await client.gql(READ, { id, ...place });
  return thread?.state && { ...thread.state, values: valuesOf(thread.state.values) };
}

/** Reads a state like `findState`. Fails the test if the thread has no such state. */
export async function getState(client: Client, id: string, place: Place = {}): Promise<State> {
  return (await findState(client, id, place)) ?? expect.fail(`Thread ${id} has no such state.`);
}

/** Reads the states of a thread, newest first. */
export async function getHistory(client: Client, id: string): Promise<State[]> {
  const { thread } = await client.gql(HISTORY, { id });
  const states = thread?.history.nodes ?? expect.fail(`No thread ${id}`);
  return states.map((state) => ({ ...state, values: valuesOf(state.values) }));
}

/** Updates the state of a thread and returns the new state. */
export async function updateState(client: Client, id: string, input: Edit) {
  const { updateThreadState: made } = await client.gql(UPDATE, { id, input });
  return { ...made, values: valuesOf(made.values) };
}

/** Returns the extensions and the message of the error for an update that the server refuses. */
export async function refuseUpdate(client: Client, id: string, input: Record<string, unknown>) {
  const [error] = await client.errors(UPDATE, { id, input });
  return { ...error?.extensions, message: error?.message };
}

/** Creates a thread and runs the graph on it once. */
export async function threadAfter(
  client: Client,
  assistantId: string,
  input: RunInput['input'],
  more: Partial<RunInput> = {},
): Promise<string> {
  const threadId = await client.createThread();
  await client.runToEnd({ threadId, assistantId, input, ...more });
  return threadId;
}

/** Returns the newest state of this step. Fails the test if the thread has none. */
export async function getStateOfStep(client: Client, id: string, step: number): Promise<State> {
  const found = (await getHistory(client, id)).find((state) => state.step === step);
  return found ?? expect.fail(`Thread ${id} has no state of step ${step}.`);
}

const CHILDREN = operation(`query ($id: ID!, $checkpointId: ID!) {
  thread(id: $id) { state(checkpointId: $checkpointId) { children { checkpointId source } } }
}`);

/** Returns the children of a checkpoint, in the order of the server. */
export async function childrenOf(client: Client, id: string, checkpointId: string) {
  const { thread } = await client.gql(CHILDREN, { id, checkpointId });
  return thread?.state?.children ?? expect.fail(`Thread ${id} has no checkpoint ${checkpointId}.`);
}

/** Returns the namespace of the subgraph of a pending task. */
export async function namespaceOf(client: Client, id: string, node: string): Promise<string> {
  const { tasks } = await getState(client, id);
  const task = tasks.find(({ name }) => name === node);
  return task?.state?.namespace ?? expect.fail(`Node ${node} has no subgraph.`);
}

/** Reads the history of a subgraph, newest state first. */
export async function getSubgraphHistory(client: Client, id: string, namespace: string) {
  const { thread } = await client.gql(SUBGRAPH_HISTORY, { id, namespace });
  return thread?.history ?? expect.fail(`No thread ${id}`);
}

const SUBGRAPH_HISTORY = operation(`query ($id: ID!, $namespace: String!) {
  thread(id: $id) {
    history(filter: { namespace: $namespace }) { nodes { checkpointId namespace values next } totalCount }
  }
}`);
