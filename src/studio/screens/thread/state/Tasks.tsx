import { Button } from '../../../ui/Button.tsx';
import { Icon } from '../../../ui/Icon.tsx';
import { shorten } from '../../../ui/shorten.ts';
import { showJson } from '../../../ui/json/parse.ts';
import type { ViewProps } from '../views.ts';
import type { ShownCheckpoint } from './documents.ts';
import classes from './State.module.css';

interface TasksProps {
  checkpoint: ShownCheckpoint;
  onChange: ViewProps['onChange'];
}

type Task = ShownCheckpoint['tasks'][number];

const LONGEST_SHOWN = 2000;

/** The tasks after a checkpoint, with their errors and questions. */
export function Tasks({ checkpoint, onChange }: TasksProps) {
  const { tasks } = checkpoint;
  if (tasks.length === 0) return <p className={classes['soft']}>Nothing runs after this state.</p>;
  return (
    <ul className={classes['tasks']} aria-label="Tasks of the next step">
      {tasks.map((task) => (
        <li key={task.taskId}>
          <span className={classes['taskHead']}>
            <Icon name="play" size={12} />
            <strong>{task.name}</strong>
            {task.state && (
              <Button isSmall icon="expand" onClick={() => onChange(placeOf(task))}>
                Open its subgraph
              </Button>
            )}
          </span>
          {task.error !== null && (
            <pre className={classes['error']} tabIndex={0} aria-label={`Error of ${task.name}`}>
              {task.error}
            </pre>
          )}
          {task.interrupts.map(({ id, value, isPending }) => (
            <div key={id} className={classes['question']}>
              <Icon name="question" size={13} />
              <span>{isPending ? 'Asks' : 'Asked'}</span>
              <code tabIndex={0}>{shorten(showJson(value), LONGEST_SHOWN)}</code>
            </div>
          ))}
        </li>
      ))}
    </ul>
  );
}

/** The newest checkpoint of the subgraph of a task. */
function placeOf({ state }: Task) {
  return { ns: state?.namespace, cp: state?.checkpointId, vs: undefined, path: undefined };
}
