import { useState } from 'react';
import { useMutation } from 'urql';
import type { VariablesOf } from '../../data/graphql.ts';
import { CANCEL_RUNS } from '../../data/runs.ts';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { Field } from '../../ui/Field.tsx';
import { ErrorNote } from '../../ui/Notes.tsx';
import { countOf } from '../../ui/Screen.tsx';
import { STATUS } from '../../ui/Status.tsx';
import type { RunFilter } from './filter.ts';
import { IN_FLIGHT } from './search.ts';

type Action = VariablesOf<typeof CANCEL_RUNS>['action'];

interface CancelRunsProps {
  filter: RunFilter;
  counts: readonly { status: string; count: number }[];
  onClose: () => void;
  onDone: () => void;
}

/** Asks before many runs are cancelled, and says how many. */
export function CancelRuns({ filter, counts, onClose, onDone }: CancelRunsProps) {
  const [action, setAction] = useState<Action>('KEEP');
  const [{ error, fetching }, cancel] = useMutation(CANCEL_RUNS);
  const affected = IN_FLIGHT.filter((status) => filter.status?.includes(status)).map((status) => ({
    status,
    count: counts.find((each) => each.status === status)?.count ?? 0,
  }));
  const total = affected.reduce((sum, { count }) => sum + count, 0);
  const runs = total === 1 ? '1 run' : `${countOf(total)} runs`;

  async function cancelNow(): Promise<void> {
    const { error: refusal } = await cancel({ filter, action });
    if (refusal) return;
    onClose();
    onDone();
  }

  return (
    <Dialog title={`Cancel ${runs}?`} onClose={onClose}>
      <p>
        {affected
          .map(({ status, count }) => `${countOf(count)} ${STATUS[status].word.toLowerCase()}`)
          .join(', ')}
        {filterText(filter)}. Runs that match by the time of the request are cancelled too.
      </p>
      <Field label="Steps that they have finished">
        {(ids) => (
          <select
            {...ids}
            value={action}
            onChange={(event) => setAction(event.target.value as Action)}
          >
            <option value="KEEP">Keep them</option>
            <option value="ROLLBACK">Undo them: the threads keep no trace of the runs</option>
          </select>
        )}
      </Field>
      <ErrorNote error={error} />
      <DialogActions>
        <Button onClick={onClose}>Let them run</Button>
        <Button
          look="danger"
          icon="stop"
          disabled={fetching || total === 0}
          onClick={() => void cancelNow()}
        >
          Cancel {runs}
        </Button>
      </DialogActions>
    </Dialog>
  );
}

function filterText({ graphId, assistantId, threadId }: RunFilter): string {
  const parts = [
    graphId && `of the graph ${graphId}`,
    assistantId && 'of the chosen assistant',
    threadId && 'of the chosen thread',
  ].filter(Boolean);
  return parts.length > 0 ? `, ${parts.join(' ')}` : ', in all threads';
}
