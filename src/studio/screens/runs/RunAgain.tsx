import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useMutation, useQuery } from 'urql';
import { START_RUN, type RunInput } from '../../data/runs.ts';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { JsonEditor } from '../../ui/json/JsonEditor.tsx';
import { showJson } from '../../ui/json/parse.ts';
import { ErrorNote, Loading } from '../../ui/Notes.tsx';
import { READ_REQUEST, type RunRequest } from './documents.ts';

/** Makes a run again: the same input for the same assistant, on the thread as it is now. */
export function RunAgain({ id, onClose }: { id: string; onClose: () => void }) {
  const [{ data, error }] = useQuery({
    query: READ_REQUEST,
    variables: { id },
    requestPolicy: 'network-only',
  });
  return (
    <Dialog title="Run again" onClose={onClose} isWide>
      <ErrorNote error={error} />
      {!data && !error && <Loading lines={3} />}
      {data && !data.run && <p>The run no longer exists.</p>}
      {data?.run && <Request request={data.run} onClose={onClose} />}
    </Dialog>
  );
}

function Request({ request, onClose }: { request: RunRequest; onClose: () => void }) {
  const [keepsConfig, setKeepsConfig] = useState(true);
  // A repeated click is the same run.
  const [idempotencyKey] = useState(() => crypto.randomUUID());
  const [{ error, fetching }, create] = useMutation(START_RUN);
  const navigate = useNavigate();

  async function run(): Promise<void> {
    const { data } = await create({ input: inputOf(request, { keepsConfig, idempotencyKey }) });
    const made = data?.createRun;
    if (!made) return;
    onClose();
    if (made.threadId) {
      await navigate({
        to: '/threads/$threadId',
        params: { threadId: made.threadId },
        search: { view: 'runs', run: made.id },
      });
    }
  }

  return (
    <>
      <p>
        {request.input === null
          ? 'The run had no input: the new one continues from the current state of the thread.'
          : 'The new run starts from the current state of the thread, with this input:'}
      </p>
      {request.input !== null && <JsonEditor label="Input" text={showJson(request.input)} />}
      <label>
        <input
          type="checkbox"
          checked={keepsConfig}
          onChange={(event) => setKeepsConfig(event.target.checked)}
        />
        With the configuration of that run, also where the assistant has changed
      </label>
      <ErrorNote error={error} />
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button look="primary" icon="play" disabled={fetching} onClick={() => void run()}>
          Run again
        </Button>
      </DialogActions>
    </>
  );
}

function inputOf(
  { assistantId, threadId, input, config, context }: RunRequest,
  { keepsConfig, idempotencyKey }: { keepsConfig: boolean; idempotencyKey: string },
): RunInput {
  return {
    assistantId,
    threadId,
    input,
    idempotencyKey,
    ...(keepsConfig && { config, ...(Object.keys(context).length > 0 && { context }) }),
    streamModes: ['UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'],
    streamSubgraphs: true,
  };
}
