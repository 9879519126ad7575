import { useState } from 'react';
import { useQuery } from 'urql';
import { useReload } from '../../../data/feed.tsx';
import { Id } from '../../../ui/Id.tsx';
import { Empty, ErrorNote, Loading } from '../../../ui/Notes.tsx';
import { Chip } from '../../../ui/Screen.tsx';
import { StatusBadge } from '../../../ui/Status.tsx';
import { Attempt } from '../../runs/Attempt.tsx';
import { RunMenu } from '../../runs/RunMenu.tsx';
import { READ_RUN, type RunFacts } from './documents.ts';
import { EventTable } from './EventTable.tsx';
import classes from './Events.module.css';
import { Facts, RunValues } from './Facts.tsx';
import { Gantt } from './Gantt.tsx';
import views from './RunsView.module.css';
import { useRunEvents, type StreamMode } from './useRunEvents.ts';

/** A run: why it ended as it did, its tasks over time, its events, and what it was asked. */
export function RunDetails({ id, onChanged }: { id: string; onChanged: () => void }) {
  const [{ data, error }, read] = useQuery({
    query: READ_RUN,
    variables: { id },
    requestPolicy: 'cache-and-network',
  });
  useReload(read);
  if (error && !data) return <ErrorNote error={error} />;
  if (!data) return <Loading />;
  if (!data.run) {
    return (
      <Empty icon="search" title="This run does not exist">
        <p>It may have been deleted, or undone.</p>
      </Empty>
    );
  }
  const { run } = data;
  return (
    <section className={views['details']} aria-label="Selected run">
      <header className={views['head']}>
        <h2>Run</h2>
        <Id id={run.id} name="run" />
        <StatusBadge status={run.status} />
        <Attempt number={run.attempt} />
        <span className={views['menu']}>
          <RunMenu run={run} onChanged={onChanged} />
        </span>
      </header>
      {run.error && (
        <p className={views['failure']} role="note">
          <strong>{run.error.name}</strong>: {run.error.message}
        </p>
      )}
      <Facts run={run} />
      <RunEvents run={run} />
      <RunValues run={run} />
    </section>
  );
}

/** What the table shows at first: all but the tokens of messages, and large values. */
const MODES = ['TASKS', 'UPDATES', 'CUSTOM', 'TOOLS', 'CHECKPOINTS', 'MESSAGES'] as const;
const AT_FIRST: StreamMode[] = ['TASKS', 'UPDATES', 'CUSTOM', 'TOOLS'];
const MODE_OF: Record<string, StreamMode> = {
  TasksEvent: 'TASKS',
  UpdatesEvent: 'UPDATES',
  CustomEvent: 'CUSTOM',
  ToolsEvent: 'TOOLS',
  CheckpointsEvent: 'CHECKPOINTS',
  MessagesEvent: 'MESSAGES',
};

function RunEvents({ run }: { run: RunFacts }) {
  const [chosen, setChosen] = useState<StreamMode[]>(AT_FIRST);
  // The chart needs the tasks in any case.
  const modes = MODES.filter((mode) => mode === 'TASKS' || chosen.includes(mode));
  const { events, readMore, error, isReading } = useRunEvents(run.id, modes);
  const isLive = run.status === 'RUNNING' || run.status === 'PENDING';
  const shown = events.filter(({ __typename: type }) => {
    const mode = MODE_OF[type];
    return !mode || chosen.includes(mode);
  });

  function toggle(mode: StreamMode): void {
    setChosen(chosen.includes(mode) ? chosen.filter((each) => each !== mode) : [...chosen, mode]);
  }

  return (
    <>
      <ErrorNote error={error} />
      <h3>Tasks</h3>
      {isReading && events.length === 0 ? (
        <Loading lines={4} />
      ) : (
        <Gantt events={events} isLive={isLive} />
      )}
      <div className={classes['modes']}>
        <h3>Events</h3>
        {MODES.map((mode) => (
          <Chip key={mode} isOn={chosen.includes(mode)} onToggle={() => toggle(mode)}>
            {mode.toLowerCase()}
          </Chip>
        ))}
      </div>
      <EventTable runId={run.id} modes={modes} events={shown} onMore={readMore} />
    </>
  );
}
