import { CopyButton } from '../../../ui/CopyButton.tsx';
import { LongText } from '../../../ui/json/JsonValue.tsx';
import { showJson } from '../../../ui/json/parse.ts';
import classes from './Events.module.css';

/** A JSON value as a text, with a button that copies it. */
export function JsonText({ label, value }: { label: string; value: unknown }) {
  const text = showJson(value);
  return (
    <div className={classes['json']}>
      <CopyButton text={text} label={`Copy: ${label}`} />
      <LongText label={label} text={text} />
    </div>
  );
}
