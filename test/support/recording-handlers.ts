import { Auth } from '@langchain/langgraph-sdk/auth';

// Handlers that allow everything and record which actions the server asks for, by client. The server may load this file as a module
// of its own: so the records are global.

const NAME = 'threadql test: asked actions';

/** The actions that the server has asked for, by the identity of the client. */
export function askedActions(): Map<string, string[]> {
  const known: unknown = Reflect.get(globalThis, NAME);
  const actions = known instanceof Map ? known : new Map<string, string[]>();
  Reflect.set(globalThis, NAME, actions);
  return actions;
}

export const auth = new Auth()
  .authenticate((request: Request) => ({
    identity: request.headers.get('x-api-key') ?? 'nobody',
    permissions: [],
  }))
  .on('*', ({ resource, action, user }) => {
    const asked = askedActions();
    asked.set(user.identity, [...(asked.get(user.identity) ?? []), `${resource}:${action}`]);
  });
