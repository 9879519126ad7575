/** The name that an interface has for a field of a request. The path is that of GraphQL, e.g. `input.threadId`. */
export type NameOf = (path: string) => string;

/** A text for clients. A text with names of fields is a function of them: each interface has its own names. */
export type ClientText = string | ((name: NameOf) => string);

/** The text with the names of an interface. */
export function withNames(text: ClientText, name: NameOf): string {
  return typeof text === 'string' ? text : text(name);
}
