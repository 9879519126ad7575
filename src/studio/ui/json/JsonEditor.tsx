import { lazy, Suspense } from 'react';

const JsonCode = lazy(() => import('./JsonCode.tsx'));

export interface JsonEditorProps {
  /** The name of the editor. */
  label: string;
  text: string;
  /** Absent: the text can only be read. */
  onChange?: (text: string) => void;
}

/** An editor for JSON. Until its code has come, its text can only be read. */
export function JsonEditor(props: JsonEditorProps) {
  const { label, text } = props;
  const plain = (
    <textarea
      aria-label={label}
      value={text}
      rows={Math.min(12, text.split('\n').length + 1)}
      readOnly
      aria-busy="true"
    />
  );
  return (
    <Suspense fallback={plain}>
      <JsonCode {...props} />
    </Suspense>
  );
}
