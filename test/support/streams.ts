import { until, type TestApp } from './app.ts';

/** Reads events in the background. `seen` are the events so far; `ended` settles at the end. */
export function collect<T>(events: AsyncIterable<T>) {
  const seen: T[] = [];
  const ended = (async () => {
    for await (const event of events) seen.push(event);
  })();
  // The stream may fail before the test awaits its end.
  ended.catch(() => {});
  return { seen, ended };
}

/** The chunks of graph `halves` before its gate, joined. */
export const FIRST_HALF = 'one two three ';
export const WHOLE = `${FIRST_HALF}four five six `;

interface MessageEvent {
  __typename: string;
  isChunk?: boolean;
  message?: { text: string };
}

/** Joins the chunks of messages. */
export const textOf = (events: readonly MessageEvent[]): string =>
  events.map(({ isChunk, message }) => (isChunk ? message?.text : '')).join('');

/** Waits until the server has this number of readers of events. */
export const untilReaders = (server: TestApp, count: number) =>
  until(() => server.app.tail.readers === count);
