import type { Config } from '../config.ts';
import { isDatabaseError, LimitError, refusalOf, summarizeError } from '../errors.ts';
import { isRecord } from '../json.ts';
import { EVENT_BYTES, type MeasuredEvent, type NewEvent } from './event.ts';

export type EventLimits = Pick<Config, 'eventLimitBytes' | 'runEventLimitBytes'>;

/** The database refused an event, or JSON cannot represent it. Only the run of the event fails. */
export class EventRefusedError extends Error {
  constructor({ type }: NewEvent, cause: unknown) {
    const reason = isDatabaseError(cause) ? refusalOf(cause) : summarizeError(cause).message;
    super(`A ${type} event of the run could not be stored: ${reason}`, { cause });
    this.name = 'EventRefusedError';
  }
}

/** Gives an event its JSON and size. */
export type MeasureEvent = (event: NewEvent) => MeasuredEvent;

/**
 * Measures the events of a run; the database already has `stored` bytes of them. In an event above EVENT_LIMIT_BYTES, a text
 * replaces each long field. Throws LimitError if the events of the run exceed RUN_EVENT_LIMIT_BYTES.
 */
export function createEventMeasure(
  { eventLimitBytes, runEventLimitBytes: most }: EventLimits,
  stored = 0,
): MeasureEvent {
  let bytes = stored;
  return (event) => {
    const measured = cutEvent(event, eventLimitBytes);
    bytes += EVENT_BYTES + measured.size;
    if (bytes <= most) return measured;
    throw new LimitError(
      `The events of the run have ${bytes} bytes; at most ${most} are stored.`,
      'RUN_EVENT_LIMIT_BYTES',
    );
  };
}

/** An event with its JSON and size. Throws EventRefusedError. */
export function measureEvent(event: NewEvent): MeasuredEvent {
  if (event.data === undefined) return { ...event, json: null, size: 0 };
  try {
    const json = JSON.stringify(event.data);
    return { ...event, json, size: Buffer.byteLength(json) };
  } catch (error) {
    throw new EventRefusedError(event, error);
  }
}

function cutEvent(event: NewEvent, most: number): MeasuredEvent {
  const measured = measureEvent(event);
  const { size } = measured;
  if (size <= most || !isRecord(event.data)) return measured;
  const text = `[Left out: the event has ${size} bytes; at most ${most} are stored. EVENT_LIMIT_BYTES sets the limit.]`;
  if (event.type === 'MESSAGES') {
    return measureEvent({ ...event, data: cutMessage(event.data, text) });
  }
  const shorter = measureEvent({ ...event, data: cutPart(event.type, event.data, text) });
  return shorter.size <= most
    ? shorter
    : measureEvent({ ...event, data: cutData(event.data, text) });
}

/** The large part of an event with a description around it. */
const LARGE_PARTS: Partial<Record<NewEvent['type'], string>> = { DEBUG: 'payload', EVENTS: 'data' };

function cutPart(
  type: NewEvent['type'],
  data: Record<string, unknown>,
  text: string,
): Record<string, unknown> {
  const key = LARGE_PARTS[type];
  const part = key === undefined ? undefined : data[key];
  return key !== undefined && isRecord(part)
    ? { ...data, [key]: cutData(part, text) }
    : cutData(data, text);
}

/** Keeps names, ids and numbers. */
function cutData(data: Record<string, unknown>, text: string): Record<string, unknown> {
  const entries = Object.entries(data).map(([key, value]) => [key, isShort(value) ? value : text]);
  return Object.fromEntries(entries);
}

/** A message stays a message, with the text as its content. */
function cutMessage(
  { message, isChunk }: Record<string, unknown>,
  text: string,
): Record<string, unknown> {
  const fields = Object.entries(isRecord(message) ? message : {});
  const kept = Object.fromEntries(fields.filter(([, value]) => isShort(value)));
  return { message: { ...kept, content: text }, isChunk, metadata: {} };
}

const SHORT_CHARS = 200;

function isShort(value: unknown): boolean {
  if (typeof value === 'string') return value.length <= SHORT_CHARS;
  return typeof value !== 'object' || value === null;
}
