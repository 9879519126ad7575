import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef, useState } from 'react';
import { useQuery } from 'urql';
import { nodeOf } from '../../../data/namespaces.ts';
import { Button } from '../../../ui/Button.tsx';
import { ErrorNote, Loading } from '../../../ui/Notes.tsx';
import { duration } from '../../../ui/Time.tsx';
import { READ_EVENT, type ListedEvent } from './documents.ts';
import { dataOf, kindOf, lineOf } from './event-text.ts';
import { JsonText } from './JsonText.tsx';
import classes from './Events.module.css';
import type { StreamMode } from './useRunEvents.ts';

interface EventTableProps {
  runId: string;
  modes: StreamMode[];
  events: readonly ListedEvent[];
  /** Undefined: all stored events are there. */
  onMore: (() => void) | undefined;
}

const ROW_PX = 28;

/** The events of a run in their order. A row opens to show all of its event. */
export function EventTable({ runId, modes, events, onMore }: EventTableProps) {
  const box = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState<string | undefined>(undefined);
  const rows = useVirtualizer({
    count: events.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
    getItemKey: (index) => events[index]?.id ?? index,
    overscan: 12,
  });
  const begin = Date.parse(events[0]?.createdAt ?? '');
  return (
    <div ref={box} className={classes['box']} tabIndex={0} role="region" aria-label="Events">
      <ol className={classes['list']} style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ key, index, start }) => {
          const event = events[index];
          if (!event) return null;
          return (
            <li
              key={key}
              ref={rows.measureElement}
              data-index={index}
              className={classes['item']}
              aria-setsize={events.length}
              aria-posinset={index + 1}
              style={{ transform: `translateY(${start}px)` }}
            >
              <EventRow
                event={event}
                begin={begin}
                isOpen={event.id === open}
                onToggle={() => setOpen(event.id === open ? undefined : event.id)}
              />
              {event.id === open && (
                <EventData
                  event={event}
                  runId={runId}
                  modes={modes}
                  before={events[index - 1]?.id}
                />
              )}
            </li>
          );
        })}
      </ol>
      {onMore && <Button onClick={onMore}>Read more events</Button>}
    </div>
  );
}

interface EventRowProps {
  event: ListedEvent;
  begin: number;
  isOpen: boolean;
  onToggle: () => void;
}

function EventRow({ event, begin, isOpen, onToggle }: EventRowProps) {
  return (
    <button
      type="button"
      className={classes['row']}
      aria-expanded={isOpen}
      data-kind={event.__typename}
      onClick={onToggle}
    >
      <time dateTime={event.createdAt} title={event.createdAt}>
        +{duration(Date.parse(event.createdAt) - begin)}
      </time>
      <span className={classes['kind']}>{kindOf(event)}</span>
      <span className={classes['line']}>
        {event.namespace.length > 0 && (
          <span className={classes['namespace']}>{event.namespace.map(nodeOf).join(' › ')} </span>
        )}
        {lineOf(event).slice(0, 300)}
      </span>
    </button>
  );
}

interface EventDataProps {
  event: ListedEvent;
  runId: string;
  modes: StreamMode[];
  /** The id of the event before it. */
  before: string | undefined;
}

function EventData({ event, runId, modes, before }: EventDataProps) {
  const known = dataOf(event);
  const [{ data, error, fetching }] = useQuery({
    query: READ_EVENT,
    variables: { id: runId, after: before ?? null, modes },
    pause: known !== undefined,
    requestPolicy: 'network-only',
  });
  if (known !== undefined) return <JsonText label="Data of the event" value={known} />;
  const read = data?.run?.events.nodes.find(({ id }) => id === event.id);
  return (
    <>
      <ErrorNote error={error} />
      {fetching && <Loading lines={2} />}
      {read && <JsonText label="Data of the event" value={read} />}
      {data && !read && <p className={classes['gone']}>The event has expired.</p>}
    </>
  );
}
