import { expect, onTestFinished } from 'vitest';

/** An event of LangGraph's protocol. */
export interface ProtocolEvent {
  type: 'event';
  event_id: string;
  seq: number;
  method: string;
  params: { namespace: string[]; timestamp: number; node?: string; data: any };
}

interface Target {
  url: string;
  headers?: Record<string, string>;
}

const ALL = 'values updates messages tools lifecycle input checkpoints tasks custom'.split(' ');

/** Sends a command and returns the answer. */
export async function command(
  { url, headers = {} }: Target,
  threadId: string,
  body: unknown,
): Promise<{ status: number; body: any }> {
  const response = await fetch(`${url}/threads/${threadId}/commands`, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** Starts a run and returns its id. */
export async function startRun(target: Target, threadId: string, params: object): Promise<string> {
  const answer = await command(target, threadId, { id: 1, method: 'run.start', params });
  expect(answer).toMatchObject({ status: 200, body: { type: 'success', id: 1 } });
  return answer.body.result.run_id;
}

/** An open stream of events. It closes when the test ends. */
export interface EventReader {
  /** Waits for the first event that is not yet taken and meets the condition. Returns all events up to it. */
  upTo(condition: (event: ProtocolEvent) => boolean): Promise<ProtocolEvent[]>;
  /** The events up to the end of a run. */
  upToEnd(): Promise<ProtocolEvent[]>;
  close(): Promise<void>;
}

function isEnd({ method, params }: ProtocolEvent): boolean {
  return method === 'lifecycle' && params.namespace.length === 0 && params.data.event !== 'running';
}

/** Opens a stream of all channels, or with this filter. */
export async function openEvents(
  { url, headers = {} }: Target,
  threadId: string,
  filter: object = {},
): Promise<EventReader> {
  const response = await fetch(`${url}/threads/${threadId}/stream/events`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ channels: ALL, ...filter }),
  });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const frames = framesOf(response);
  const close = async () => void (await frames.return(undefined));
  // The server of the test may have stopped.
  onTestFinished(() => close().catch(() => {}));
  async function upTo(condition: (event: ProtocolEvent) => boolean): Promise<ProtocolEvent[]> {
    const taken: ProtocolEvent[] = [];
    for (;;) {
      const { value, done } = await frames.next();
      if (done) throw new Error(`The stream ended after ${JSON.stringify(taken.at(-1))}`);
      taken.push(value);
      if (condition(value)) return taken;
    }
  }
  return { upTo, upToEnd: () => upTo(isEnd), close };
}

async function* framesOf({ body }: Response): AsyncGenerator<ProtocolEvent> {
  if (!body) return;
  let rest = '';
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split('\n\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const [, id, name, data] = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(part) ?? [];
      if (data === undefined) continue;
      const event: ProtocolEvent = JSON.parse(data);
      expect([event.event_id, event.method]).toEqual([id, name]);
      yield event;
    }
  }
}

/** The data of the events of a channel. */
export function dataOf(events: readonly ProtocolEvent[], method: string): any[] {
  return events.filter((event) => event.method === method).map(({ params }) => params.data);
}
