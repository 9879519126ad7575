import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { Button } from '../../../ui/Button.tsx';
import { ErrorNote, Loading } from '../../../ui/Notes.tsx';
import type { ViewProps } from '../views.ts';
import { ChangeItem } from './ChangeItem.tsx';
import { chooseChannels, joinChannels, useAsked, useChannels } from './channels.ts';
import { CheckpointTitle } from './CheckpointTitle.tsx';
import { differences, type Change } from './difference.ts';
import { READ_SIZES, type ShownCheckpoint } from './documents.ts';
import classes from './State.module.css';
import { Withheld } from './Values.tsx';

interface ComparisonProps extends ViewProps {
  checkpoint: ShownCheckpoint;
  /** The state that it is compared with. */
  vs: string;
}

type Sized = Pick<
  ShownCheckpoint,
  'checkpointId' | 'namespace' | 'step' | 'source' | 'ran' | 'createdAt' | 'channels'
>;

/** The difference of two states, as a list of changed values. */
export function Comparison({ thread, checkpoint, vs, onChange }: ComparisonProps) {
  const { namespace } = checkpoint;
  const [{ data, error, fetching }] = useQuery({
    query: READ_SIZES,
    variables: { id: thread.id, checkpointId: vs, namespace },
  });
  const other = data?.thread?.state;
  if (error) return <ErrorNote error={error} />;
  if (other?.checkpointId !== vs && fetching) return <Loading />;
  if (!other) {
    return (
      <p className={classes['note']}>
        The other checkpoint does not exist.
        <Button isSmall onClick={() => onChange({ vs: undefined })}>
          End comparison
        </Button>
      </p>
    );
  }
  return (
    <section className={classes['comparison']} aria-label="Comparison">
      <p className={classes['note']}>
        <span>Before:</span>
        <CheckpointTitle checkpoint={other} />
      </p>
      <Differences threadId={thread.id} before={other} after={checkpoint} />
    </section>
  );
}

interface DifferencesProps {
  threadId: string;
  before: Sized;
  after: Sized;
}

const AT_ONCE = 100;

function Differences({ threadId, before, after }: DifferencesProps) {
  const [asked, ask] = useAsked(`${before.checkpointId} ${after.checkpointId}`);
  const [shown, setShown] = useState(AT_ONCE);
  const all = joinChannels(before.channels, after.channels);
  const { chosen, withheld } = chooseChannels(all, asked);
  const from = useChannels({ threadId, ...before }, namesIn(before, chosen));
  const to = useChannels({ threadId, ...after }, namesIn(after, chosen));
  const changes = useDifferences(from.values, to.values);
  return (
    <>
      <Withheld channels={withheld} verb="Compare" onAsk={ask} />
      <ErrorNote error={from.error ?? to.error} />
      {!changes && <Loading lines={4} />}
      {changes?.length === 0 && <p className={classes['note']}>The values are equal.</p>}
      <ol className={classes['changes']} aria-label="Changes">
        {changes?.slice(0, shown).map((change) => (
          <ChangeItem key={`${change.kind} ${change.pointer}`} change={change} />
        ))}
      </ol>
      {changes && changes.length > shown && (
        <Button onClick={() => setShown(shown + AT_ONCE)}>
          Show more of {changes.length} changes
        </Button>
      )}
    </>
  );
}

function namesIn({ channels }: Sized, names: readonly string[]): string[] {
  return names.filter((name) => channels.some((channel) => channel.name === name));
}

/** The difference of two values, once both are there. Its code comes with the first comparison. */
function useDifferences(before: unknown, after: unknown): readonly Change[] | undefined {
  const [found, setFound] = useState<{ before: unknown; after: unknown; changes: Change[] }>();
  useEffect(() => {
    if (before === undefined || after === undefined) return undefined;
    let isCurrent = true;
    void differences(before, after).then((changes) => {
      if (isCurrent) setFound({ before, after, changes });
    });
    return () => void (isCurrent = false);
  }, [before, after]);
  return found?.before === before && found?.after === after ? found?.changes : undefined;
}
