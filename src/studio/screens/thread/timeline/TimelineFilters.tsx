import { useState } from 'react';
import { useQuery } from 'urql';
import { graphql } from '../../../data/graphql.ts';
import { Button } from '../../../ui/Button.tsx';
import { countOf } from '../../../ui/Screen.tsx';
import { STATUS } from '../../../ui/Status.tsx';
import { CHECKPOINT_SOURCES } from '../search.ts';
import type { ViewProps } from '../views.ts';
import { namesOfNamespace } from './rows.ts';
import classes from './Timeline.module.css';

const LIST_RUNS = graphql(`
  query ListRunsOfTimeline($id: ID!) {
    thread(id: $id) {
      id
      runs(first: 50) {
        nodes {
          id
          status
          createdAt
          assistant {
            id
            name
          }
        }
      }
    }
  }
`);

const SOURCES: Record<(typeof CHECKPOINT_SOURCES)[number], string> = {
  INPUT: 'Inputs',
  LOOP: 'Steps',
  UPDATE: 'Edits by hand',
  FORK: 'Forks',
};

const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'medium' });

interface TimelineFiltersProps extends ViewProps {
  total: number;
  isLoaded: boolean;
}

/** What the timeline shows: a run, an origin, a subgraph. */
export function TimelineFilters(props: TimelineFiltersProps) {
  const { search, onChange, total, isLoaded } = props;
  return (
    <div className={classes['filters']} role="search" aria-label="Filter checkpoints">
      {search.ns !== undefined && (
        <span className={classes['namespace']}>
          <Button
            isSmall
            icon="left"
            onClick={() => onChange({ ns: undefined, cp: undefined, vs: undefined })}
          >
            Whole graph
          </Button>
          in {namesOfNamespace(search.ns).join(' › ')}
        </span>
      )}
      <RunSelect {...props} />
      <select
        aria-label="Origin"
        value={search.source ?? ''}
        onChange={(event) =>
          onChange({ source: CHECKPOINT_SOURCES.find((each) => each === event.target.value) })
        }
      >
        <option value="">All origins</option>
        {CHECKPOINT_SOURCES.map((source) => (
          <option key={source} value={source}>
            {SOURCES[source]}
          </option>
        ))}
      </select>
      {isLoaded && (
        <span className={classes['total']}>
          {countOf(total)} {total === 1 ? 'checkpoint' : 'checkpoints'}
        </span>
      )}
    </div>
  );
}

/** The runs of the thread. */
function RunSelect({ thread, search, onChange }: ViewProps) {
  const { id } = thread;
  /** The list of runs comes when a person goes to it. */
  const [isWanted, setWanted] = useState(search.run !== undefined);
  const [{ data }] = useQuery({
    query: LIST_RUNS,
    variables: { id },
    requestPolicy: 'cache-and-network',
    pause: !isWanted,
  });
  const runs = data?.thread?.runs.nodes ?? [];
  const isKnown = search.run === undefined || runs.some((run) => run.id === search.run);
  return (
    <select
      aria-label="Run"
      value={search.run ?? ''}
      onFocus={() => setWanted(true)}
      onPointerEnter={() => setWanted(true)}
      onChange={(event) => onChange({ run: event.target.value || undefined })}
    >
      <option value="">All runs</option>
      {!isKnown && <option value={search.run}>Run …{search.run?.slice(-8)}</option>}
      {runs.map((run) => (
        <option key={run.id} value={run.id}>
          {TIME.format(new Date(run.createdAt))}, {run.assistant.name}, {STATUS[run.status].word}
        </option>
      ))}
    </select>
  );
}
