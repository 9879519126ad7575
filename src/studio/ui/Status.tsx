import type { RunStatus, ThreadStatus } from '../../client/types.ts';
import { Icon, type IconName } from './Icon.tsx';
import classes from './Status.module.css';

interface Look {
  word: string;
  icon: IconName;
  colour: 'grey' | 'green' | 'blue' | 'amber' | 'red';
}

/** The words for the statuses of threads and runs, for badges and filters. */
export const STATUS: Record<ThreadStatus | RunStatus, Look> = {
  IDLE: { word: 'Idle', icon: 'check', colour: 'grey' },
  BUSY: { word: 'Busy', icon: 'spinner', colour: 'blue' },
  INTERRUPTED: { word: 'Waiting for you', icon: 'question', colour: 'amber' },
  ERROR: { word: 'Failed', icon: 'error', colour: 'red' },
  PENDING: { word: 'Queued', icon: 'clock', colour: 'grey' },
  RUNNING: { word: 'Running', icon: 'spinner', colour: 'blue' },
  SUCCESS: { word: 'Done', icon: 'check', colour: 'green' },
  TIMEOUT: { word: 'Timed out', icon: 'clock', colour: 'red' },
  CANCELLED: { word: 'Cancelled', icon: 'stop', colour: 'grey' },
};

/** The status of a thread or a run, as an icon and a word. */
export function StatusBadge({ status }: { status: ThreadStatus | RunStatus }) {
  const { word, icon, colour } = STATUS[status];
  const turning = icon === 'spinner' ? classes['turning'] : '';
  return (
    <span className={`${classes['status']} ${classes[colour]} ${turning}`}>
      <Icon name={icon} size={13} />
      {word}
    </span>
  );
}
