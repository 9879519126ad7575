import { useState, type ReactNode } from 'react';
import { useQuery } from 'urql';
import { JsonTree } from '../../../ui/json/JsonTree.tsx';
import { ErrorNote, Loading } from '../../../ui/Notes.tsx';
import type { ViewProps } from '../views.ts';
import { READ_WRITES, type ShownCheckpoint } from './documents.ts';
import classes from './State.module.css';
import { Tasks } from './Tasks.tsx';

interface FactsProps {
  checkpoint: ShownCheckpoint;
  onChange: ViewProps['onChange'];
}

/** What belongs to a checkpoint beside its values. */
export function Facts({ checkpoint, onChange }: FactsProps) {
  const { tasks, metadata } = checkpoint;
  const isTelling = tasks.some(({ error, interrupts }) => error !== null || interrupts.length > 0);
  return (
    <div className={classes['facts']}>
      <Fact name={`Next tasks (${tasks.length})`} isOpen={isTelling}>
        <Tasks checkpoint={checkpoint} onChange={onChange} />
      </Fact>
      <Fact name="Writes of this step">
        <Writes checkpoint={checkpoint} />
      </Fact>
      <Fact name="Metadata">
        <FactTree label="Metadata" value={metadata} />
      </Fact>
    </div>
  );
}

interface FactProps {
  name: string;
  isOpen?: boolean;
  children: ReactNode;
}

/** A part that a person opens. Its content is rendered then. */
function Fact({ name, isOpen = false, children }: FactProps) {
  const [open, setOpen] = useState(isOpen);
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{name}</summary>
      {open && <div className={classes['fact']}>{children}</div>}
    </details>
  );
}

function FactTree({ label, value }: { label: string; value: unknown }) {
  const [selected, setSelected] = useState<string>();
  return (
    <div className={classes['factTree']}>
      <JsonTree label={label} value={value} selected={selected} onSelect={setSelected} />
    </div>
  );
}

/** What each node of the step wrote. The server reads the state before for it, so it waits until a person asks. */
function Writes({ checkpoint }: { checkpoint: ShownCheckpoint }) {
  const { threadId: id, checkpointId, namespace } = checkpoint;
  const [{ data, error }] = useQuery({
    query: READ_WRITES,
    variables: { id, checkpointId, namespace },
  });
  const writes = data?.thread?.state?.writes;
  if (error) return <ErrorNote error={error} />;
  if (writes === undefined) return <Loading lines={2} />;
  if (writes === null) return <p className={classes['soft']}>No node wrote this checkpoint.</p>;
  return <FactTree label="Writes" value={writes} />;
}
