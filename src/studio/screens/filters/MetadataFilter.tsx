import { useId } from 'react';
import { useDraft } from '../../ui/useDraft.ts';
import classes from './filters.module.css';
import { readMetadata } from './metadata.ts';

interface MetadataFilterProps {
  text: string | undefined;
  onChange: (text: string | undefined) => void;
}

const PAUSE_MS = 500;

/** Only threads with some metadata. A text that is none names its problem. */
export function MetadataFilter({ text = '', onChange }: MetadataFilterProps) {
  const [draft, setDraft] = useDraft(text, (next) => onChange(next || undefined), PAUSE_MS);
  const { error } = readMetadata(draft);
  const errorId = useId();
  return (
    <span className={classes['metadata']}>
      <input
        aria-label="Metadata of the thread, as key=value or JSON"
        placeholder="Metadata: key=value"
        value={draft}
        aria-invalid={error !== undefined}
        aria-describedby={error ? errorId : undefined}
        onChange={(event) => setDraft(event.target.value)}
      />
      {error && (
        <span id={errorId} className={classes['wrong']}>
          {error}
        </span>
      )}
    </span>
  );
}
