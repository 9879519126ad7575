import { useState } from 'react';
import { Button, IconButton } from '../Button.tsx';
import { CopyButton } from '../CopyButton.tsx';
import classes from './JsonTree.module.css';
import { showJson } from './parse.ts';
import { bytesOf, namesOf } from './tree.ts';

interface JsonValueProps {
  pointer: string;
  value: unknown;
  onClose: () => void;
}

const SHOWN = 10_000;
const MOST_SHOWN = 1_000_000;

/** The selected value of a tree as a text. */
export function JsonValue({ pointer, value, onClose }: JsonValueProps) {
  const path = namesOf(pointer).join(' › ');
  return (
    <section className={classes['valuePane']} aria-label="Selected value">
      <div className={classes['tools']}>
        <code className={classes['path']} title={pointer}>
          {path}
        </code>
        <CopyButton text={pointer} label="Copy path" />
        <CopyButton text={() => textOf(value)} label="Copy value" />
        <IconButton icon="close" label="Close the value" isSmall onClick={onClose} />
      </div>
      <LongText key={pointer} label={path} text={textOf(value)} />
    </section>
  );
}

interface LongTextProps {
  label: string;
  text: string;
  shown?: number;
}

/** A text. A long one is cut until a person wants all of it. */
export function LongText({ label, text, shown = SHOWN }: LongTextProps) {
  const [isWhole, setWhole] = useState(false);
  const end = isWhole ? MOST_SHOWN : shown;
  return (
    <>
      <pre tabIndex={0} aria-label={label} className={classes['text']}>
        {text.slice(0, end)}
        {text.length > end && '…'}
      </pre>
      {text.length > end && (
        <span className={classes['soft']}>
          {bytesOf(text.length)}
          {isWhole ? ', cut here; copy the value to see its end' : ''}{' '}
          {!isWhole && (
            <Button isSmall onClick={() => setWhole(true)}>
              Show more
            </Button>
          )}
        </span>
      )}
    </>
  );
}

/** A string as it is, anything else as JSON. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : showJson(value);
}
