import { useState } from 'react';
import { Button } from '../../../ui/Button.tsx';
import { JsonEditor } from '../../../ui/json/JsonEditor.tsx';
import { JsonTree } from '../../../ui/json/JsonTree.tsx';
import { showJson } from '../../../ui/json/parse.ts';
import { bytesOf } from '../../../ui/json/tree.ts';
import { ErrorNote, Loading } from '../../../ui/Notes.tsx';
import type { ViewProps } from '../views.ts';
import { chooseChannels, useAsked, useChannels } from './channels.ts';
import type { Channel, ShownCheckpoint } from './documents.ts';
import classes from './State.module.css';

interface ValuesProps extends ViewProps {
  checkpoint: ShownCheckpoint;
}

/** The values of a state as a tree, or as JSON. */
export function Values({ thread, search, onChange, checkpoint }: ValuesProps) {
  const { checkpointId, namespace, channels } = checkpoint;
  const [asked, ask] = useAsked(checkpointId);
  const [isRaw, setRaw] = useState(false);
  const place = { threadId: thread.id, checkpointId, namespace };
  const { chosen, withheld } = chooseChannels(channels, asked);
  const { values, error } = useChannels(place, chosen);
  return (
    <section className={classes['values']} aria-label="Values">
      <div className={classes['bar']}>
        <h3>Values</h3>
        <Button isSmall aria-pressed={isRaw} onClick={() => setRaw(!isRaw)}>
          {isRaw ? 'Tree' : 'JSON'}
        </Button>
      </div>
      <Withheld channels={withheld} verb="Load" onAsk={ask} />
      <ErrorNote error={error} />
      {!values && !error && <Loading lines={4} />}
      {values && isRaw && (
        <div className={classes['raw']}>
          <JsonEditor label="Values as JSON" text={showJson(values)} />
        </div>
      )}
      {values && !isRaw && (
        <JsonTree
          key={checkpointId}
          label="Values"
          value={values}
          selected={search.path}
          onSelect={(path) => onChange({ path })}
        />
      )}
    </section>
  );
}

interface WithheldProps {
  channels: readonly Channel[];
  verb: string;
  onAsk: (name: string) => void;
}

/** The channels that are too large to come without a question. */
export function Withheld({ channels, verb, onAsk }: WithheldProps) {
  if (channels.length === 0) return null;
  return (
    <div className={classes['chips']} role="group" aria-label="Large channels">
      {channels.map(({ name, bytes }) => (
        <Button key={name} isSmall icon="down" onClick={() => onAsk(name)}>
          {verb} {name} ({bytesOf(bytes)})
        </Button>
      ))}
    </div>
  );
}
