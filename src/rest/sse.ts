/** An event of a stream. */
export interface SentEvent {
  id?: string | undefined;
  event: string;
  data: unknown;
}

interface StreamOptions {
  headers: Record<string, string>;
  /** Called when the client leaves before the end. */
  onLeave?: (() => void) | undefined;
  /** Sends a comment at once: a client that waits for the start of the stream need not wait for its first event. */
  greets?: boolean;
}

/** Time between two comments. The SDK waits three times as long, and then connects again. */
const HEARTBEAT_MS = 5000;

/** Breaks of lines that JSON leaves in texts: some clients split a stream at them. */
const LINE_BREAKS = /[\u0085\u2028\u2029]/g;

/**
 * Sends the events as Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html), each as soon as the client
 * can take it. If the client leaves, ends the iteration.
 */
export function eventStream(
  events: AsyncIterator<SentEvent, void>,
  { headers, onLeave, greets = false }: StreamOptions,
): Response {
  const encoder = new TextEncoder();
  let beat: NodeJS.Timeout | undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const comment = (): void => controller.enqueue(encoder.encode(': heartbeat\n\n'));
      if (greets) comment();
      beat = setInterval(comment, HEARTBEAT_MS);
    },
    async pull(controller) {
      try {
        const next = await events.next();
        if (!next.done) return controller.enqueue(encoder.encode(toText(next.value)));
        clearInterval(beat);
        controller.close();
      } catch (error) {
        // The connection breaks, and the client connects again.
        clearInterval(beat);
        controller.error(error);
      }
    },
    async cancel() {
      clearInterval(beat);
      onLeave?.();
      await events.return?.();
    },
  });
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // Proxies such as nginx would collect the events.
      'x-accel-buffering': 'no',
      ...headers,
    },
  });
}

function toText({ id, event, data }: SentEvent): string {
  const json = (JSON.stringify(data) ?? 'null').replaceAll(
    LINE_BREAKS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${json}\n\n`;
}
