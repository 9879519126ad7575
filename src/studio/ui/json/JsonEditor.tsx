import { lazy, Suspense } from 'react';

const JsonCode = lazy(() => import('./JsonCode.tsx'));

export interface JsonEditorProps {
  /** The name of the editor. */
  label: string;
  text: string;
  /** Absent: the text can only be read. */
  onChange?: (text: string) => void;
}

/** An editor for JSON. Until its code has come, a plain text field is in its place. */
export function JsonEditor(props: JsonEditorProps) {
  const { label, text, onChange } = props;
  const plain = (
    <textarea
      aria-label={label}
      value={text}
      rows={Math.min(12, text.split('\n').length + 1)}
      readOnly={!onChange}
      onChange={(event) => onChange?.(event.target.value)}
    />
  );
  return (
    <Suspense fallback={plain}>
      <JsonCode {...props} />
    </Suspense>
  );
}
