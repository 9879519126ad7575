import { useState, type ReactNode } from 'react';
import { useQuery } from 'urql';
import { ErrorNote, Loading } from '../../../ui/Notes.tsx';
import { duration, Time } from '../../../ui/Time.tsx';
import { executionTime, queueWait } from '../../runs/times.ts';
import { READ_RUN_VALUES, type RunFacts } from './documents.ts';
import { JsonText } from './JsonText.tsx';
import classes from './RunsView.module.css';

/** When a run happened, how long it took, and what it used. */
export function Facts({ run }: { run: RunFacts }) {
  const { usage, cancelReason, startedAt, finishedAt } = run;
  const now = Date.parse(run.createdAt);
  const wait = startedAt ? queueWait(run, now) : undefined;
  const took = finishedAt ? executionTime(run, now) : undefined;
  return (
    <dl className={classes['facts']}>
      <Fact name="Created">
        <Time value={run.createdAt} />
      </Fact>
      <Fact name="Waited in the queue">{wait !== undefined && duration(wait)}</Fact>
      <Fact name="Took">{took !== undefined && duration(took)}</Fact>
      <Fact name="Attempts">{run.attempt}</Fact>
      <Fact name="Tokens">
        {usage && `${usage.inputTokens} in, ${usage.outputTokens} out, ${usage.totalTokens} in all`}
      </Fact>
      <Fact name="While another run executes">{run.multitaskStrategy.toLowerCase()}</Fact>
      <Fact name="Cancelled because">{cancelReason}</Fact>
    </dl>
  );
}

/** The request of a run, its configuration and its result. */
export function RunValues({ run }: { run: RunFacts }) {
  const { id, finishedAt, config, context, metadata } = run;
  return (
    <div>
      <Values id={id} name="input" title="Input" />
      {finishedAt && <Values id={id} name="output" title="Output" />}
      <Known title="Configuration" value={config} />
      <Known title="Context" value={context} />
      <Known title="Metadata" value={metadata} />
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  if (children === null || children === undefined || children === false) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Known({ title, value }: { title: string; value: Record<string, unknown> }) {
  const count = Object.keys(value).length;
  return (
    <details className={classes['fold']}>
      <summary>
        {title} <span>{count === 0 ? 'empty' : `${count} keys`}</span>
      </summary>
      <JsonText label={title} value={value} />
    </details>
  );
}

interface ValuesProps {
  id: string;
  name: 'input' | 'output';
  title: string;
}

/** A value that is read when a person opens it. */
function Values({ id, name, title }: ValuesProps) {
  const [isOpen, setOpen] = useState(false);
  const [{ data, error, fetching }] = useQuery({
    query: READ_RUN_VALUES,
    variables: { id, input: name === 'input', output: name === 'output' },
    pause: !isOpen,
  });
  return (
    <details className={classes['fold']} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{title}</summary>
      <ErrorNote error={error} />
      {fetching && <Loading lines={3} />}
      {data?.run && <JsonText label={title} value={data.run[name]} />}
    </details>
  );
}
