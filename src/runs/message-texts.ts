import { idOrNull, messageText } from '../checkpoints/message.ts';
import type { PlainMessage } from '../checkpoints/plain.ts';
import type { Sql } from '../db/query.ts';
import type { StoredEvent } from '../events/event.ts';
import { BUFFER_BYTES } from '../events/inbox.ts';
import { readEvents } from '../events/read.ts';
import { recordOf } from '../json.ts';

/** The texts of streamed messages so far, for clients that do not join the chunks. All readers of a process share them. */
export interface MessageTexts {
  /**
   * The text of the message of a MESSAGES event: of all its chunks in the same attempt, up to this one. Reads the table if events of
   * the run before this one are not in memory.
   */
  textAt(app: { sql: Pick<Sql, 'query'> }, event: StoredEvent): Promise<string>;
}

/** The most bytes of texts in memory. Above it, the texts of the run with the oldest use are dropped, and read again on demand. */
const MOST_BYTES = 33_554_432;
/** Bytes beside the characters. */
const RUN_BYTES = 500;
const CHUNK_BYTES = 50;

const PAGE_EVENTS = 2000;

interface RunTexts {
  /** The texts have all chunks up to the event with this number. */
  last: number;
  attempt: number;
  /** By namespace and id. */
  messages: Map<string, StreamedText>;
  bytes: number;
  /** Resolves after the work of earlier calls. */
  idle: Promise<void>;
}

/** The text of a message, of all attempts one after the other. */
interface StreamedText {
  text: string;
  /** The last attempt, and the begin of its text. */
  attempt: number;
  begin: number;
  /** For each chunk, the text of its attempt up to its end. */
  chunks: { number: number; begin: number; end: number }[];
}

export function createMessageTexts(): MessageTexts {
  /** The run with the newest use is the last. */
  const runs = new Map<string, RunTexts>();
  let bytes = 0;

  function use(runId: string): RunTexts {
    const run = runs.get(runId) ?? newRun();
    runs.delete(runId);
    runs.set(runId, run);
    return run;
  }

  function dropOldest(): void {
    bytes = Array.from(runs.values()).reduce((sum, run) => sum + run.bytes, 0);
    for (const [runId, run] of runs) {
      if (bytes <= MOST_BYTES || runs.size === 1) return;
      runs.delete(runId);
      bytes -= run.bytes;
    }
  }

  return {
    async textAt({ sql }, event) {
      const message = messageOf(event);
      const key = keyOf(event);
      if (key === undefined) return messageText(message);
      const run = use(event.runId);
      if (event.number > run.last) {
        const before = run.bytes;
        const work = run.idle.then(() => readUpTo(sql, run, event));
        run.idle = work.catch(() => {});
        await work;
        bytes += run.bytes - before;
        if (bytes > MOST_BYTES) dropOldest();
      }
      // Readers are mostly near the end.
      const { text, chunks } = run.messages.get(key) ?? { text: '', chunks: [] };
      const chunk = chunks.findLast(({ number }) => number <= event.number);
      return chunk?.number === event.number
        ? text.slice(chunk.begin, chunk.end)
        : messageText(message);
    },
  };
}

function newRun(): RunTexts {
  const idle = Promise.resolve();
  return { last: 0, attempt: 0, messages: new Map(), bytes: RUN_BYTES, idle };
}

/** Adds the events of the run up to this one. The next events of the table are added too. */
async function readUpTo(sql: Pick<Sql, 'query'>, run: RunTexts, event: StoredEvent): Promise<void> {
  const { threadId, runId } = event;
  while (run.last < event.number - 1) {
    const page = { after: run.last, limit: PAGE_EVENTS, bytes: BUFFER_BYTES };
    const events = await readEvents(sql, { threadId, runId }, { ...page, types: TYPES });
    for (const each of events) add(run, each);
    // Retention has deleted the rows.
    if (events.length === 0) break;
  }
  if (run.last < event.number) add(run, event);
}

const TYPES = ['STARTED', 'MESSAGES'] as const;

function add(run: RunTexts, event: StoredEvent): void {
  run.last = event.number;
  if (event.type === 'STARTED') run.attempt += 1;
  const key = keyOf(event);
  if (key === undefined) return;
  const { attempt } = run;
  const streamed = run.messages.get(key) ?? { text: '', attempt, begin: 0, chunks: [] };
  if (streamed.attempt !== attempt) {
    streamed.attempt = attempt;
    streamed.begin = streamed.text.length;
  }
  const text = messageText(messageOf(event));
  streamed.text += text;
  const { begin } = streamed;
  streamed.chunks.push({ number: event.number, begin, end: streamed.text.length });
  run.messages.set(key, streamed);
  run.bytes += CHUNK_BYTES + text.length * 2;
}

function messageOf({ data }: StoredEvent): PlainMessage {
  return recordOf(data)['message'] as PlainMessage;
}

/** The key of the message of a chunk. Undefined for other events: a whole message, and a message without an id. */
function keyOf(event: StoredEvent): string | undefined {
  if (event.type !== 'MESSAGES' || recordOf(event.data)['isChunk'] !== true) return undefined;
  const id = idOrNull(messageOf(event).id);
  return id === null ? undefined : JSON.stringify([event.namespace, id]);
}
