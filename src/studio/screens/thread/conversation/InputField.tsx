import { useState } from 'react';
import { draftProblems } from '../../../ui/forms/check.ts';
import { newDraft, readDraft, type Draft } from '../../../ui/forms/draft.ts';
import { SchemaForm } from '../../../ui/forms/SchemaForm.tsx';
import type { JsonSchema } from '../../../ui/forms/shape.ts';
import { Button } from '../../../ui/Button.tsx';

interface InputFieldProps {
  /** JSON Schema of the graph's input. Null: the graph takes any value. */
  schema: JsonSchema | null;
  onSend: (input: Record<string, unknown>) => void;
}

/** The input of a graph without messages. It stays after a run, for the next one. */
export function InputField({ schema, onSend }: InputFieldProps) {
  const [draft, setDraft] = useState<Draft>(() => newDraft(schema));
  const [isTried, setTried] = useState(false);

  function send(): void {
    setTried(true);
    if (draftProblems(schema, draft).length === 0) {
      onSend(readDraft(draft).value as Record<string, unknown>);
      setTried(false);
    }
  }

  return (
    <>
      <SchemaForm
        label="Input of the graph"
        schema={schema}
        draft={draft}
        onChange={setDraft}
        isTried={isTried}
      />
      <div>
        <Button look="primary" icon="play" onClick={send}>
          Run
        </Button>
      </div>
    </>
  );
}
