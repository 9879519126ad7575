import { useQuery } from 'urql';
import { Button } from '../../../ui/Button.tsx';
import { DialogActions } from '../../../ui/Dialog.tsx';
import { LongText, textOf } from '../../../ui/json/JsonValue.tsx';
import { ErrorNote, Loading } from '../../../ui/Notes.tsx';
import { READ_CHANNELS, type EditedState } from './documents.ts';
import classes from './State.module.css';

interface BecameProps {
  threadId: string;
  state: EditedState;
  /** The value of the edit. */
  sent: unknown;
  onClose: () => void;
}

/** The sent values beside the new state: reducers may append, merge or change values. */
export function Became({ threadId, state, sent, onClose }: BecameProps) {
  const { checkpointId, namespace } = state;
  const update = (typeof sent === 'object' && sent !== null ? sent : {}) as Record<string, unknown>;
  const channels = Object.keys(update);
  const [{ data, error, fetching }] = useQuery({
    query: READ_CHANNELS,
    variables: { id: threadId, checkpointId, namespace, channels },
    requestPolicy: 'network-only',
    pause: channels.length === 0,
  });
  const values = data?.thread?.state?.values as Record<string, unknown> | undefined;
  return (
    <>
      <p>The thread goes on from the new checkpoint. The state before it stays.</p>
      <ErrorNote error={error} />
      {fetching && <Loading lines={3} />}
      {values &&
        channels.map((name) => (
          <section key={name} className={classes['pair']} aria-label={name}>
            <h3>{name}</h3>
            <div>
              <h4>Sent</h4>
              <LongText label={`${name}, sent`} text={textOf(update[name])} />
            </div>
            <div>
              <h4>Became</h4>
              {name in values ? (
                <LongText label={`${name}, became`} text={textOf(values[name])} />
              ) : (
                <p className={classes['soft']}>The state has no such channel: nothing changed.</p>
              )}
            </div>
          </section>
        ))}
      <DialogActions>
        <Button look="primary" onClick={onClose}>
          Show the new state
        </Button>
      </DialogActions>
    </>
  );
}
