import { useState } from 'react';
import { useMutation, useQuery } from 'urql';
import { START_RUN } from '../../../data/runs.ts';
import { Button } from '../../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../../ui/Dialog.tsx';
import { Field } from '../../../ui/Field.tsx';
import { JsonEditor } from '../../../ui/json/JsonEditor.tsx';
import { parseJson } from '../../../ui/json/parse.ts';
import { ErrorNote } from '../../../ui/Notes.tsx';
import { useKeptText } from '../../../ui/useKeptText.ts';
import { DEFAULT_OPTIONS, runFields } from '../conversation/run-options.ts';
import { READ_THREAD, type ListedAssistant } from '../documents.ts';
import { countNames } from '../timeline/rows.ts';
import { BusyNote } from './BusyNote.tsx';
import type { CheckpointDialogProps } from './EditState.tsx';
import classes from './State.module.css';

/** Runs the graph from a state. The thread continues in a new branch. The old branch stays. */
export function RunAgain({ thread, checkpoint, onChange, onClose }: CheckpointDialogProps) {
  const { checkpointId, namespace, next, step } = checkpoint;
  const [text, setText] = useKeptText(`run ${thread.id} ${checkpointId}`);
  const [chosen, setChosen] = useState<string>();
  const [{ error, fetching }, create] = useMutation(START_RUN);
  const parsed = parseJson(text, null);
  const assistants = useAssistants(thread.id, thread.graphId);
  const usual = assistants.find(({ id }) => id === thread.lastRun?.assistantId) ?? assistants[0];
  const assistantId = chosen ?? usual?.id ?? '';

  const hasWork = next.length > 0 || parsed.value !== null;
  const isReady = parsed.error === undefined && hasWork && assistantId !== '';

  async function run(): Promise<void> {
    const place = { threadId: thread.id, checkpointId, checkpointNamespace: namespace };
    const input = { ...runFields(DEFAULT_OPTIONS), ...place, assistantId, input: parsed.value };
    const { data } = await create({ input });
    if (!data?.createRun) return;
    setText('');
    onClose();
    onChange({ view: 'timeline', cp: undefined, ns: undefined, vs: undefined, run: undefined });
  }

  return (
    <Dialog title={`Run from step ${step}`} isWide onClose={onClose}>
      <form
        className={classes['form']}
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        <BusyNote thread={thread}>The new run waits for the one that executes.</BusyNote>
        <AssistantField assistants={assistants} selected={assistantId} onSelect={setChosen} />
        <JsonEditor label="Input" text={text} onChange={setText} />
        <p className={classes['hint']}>{parsed.error ?? hintFor(next)}</p>
        <ErrorNote error={error} />
        <DialogActions>
          <Button type="submit" look="primary" icon="play" disabled={fetching || !isReady}>
            Run
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

interface AssistantFieldProps {
  assistants: readonly ListedAssistant[];
  selected: string;
  onSelect: (id: string) => void;
}

function AssistantField({ assistants, selected, onSelect }: AssistantFieldProps) {
  return (
    <Field label="Assistant">
      {(ids) => (
        <select {...ids} value={selected} onChange={(event) => onSelect(event.target.value)}>
          {assistants.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function hintFor(next: readonly string[]): string {
  if (next.length === 0) return 'The input as JSON. It is needed: no step follows this state.';
  return `The input as JSON. Without one, the steps after this state run again: ${countNames(next).join(', ')}.`;
}

/** The assistants of a graph; all of them for a thread without a graph. */
function useAssistants(threadId: string, graphId: string | null) {
  const [{ data }] = useQuery({ query: READ_THREAD, variables: { id: threadId } });
  const all = data?.assistants?.nodes ?? [];
  return graphId === null ? all : all.filter((each) => each.graphId === graphId);
}
