import { READ_OLDER_MESSAGES, SHOW_VERSION } from './documents.ts';
import { addOlder, type Model } from './thread-model.ts';
import { persist, type Transport } from './transport.ts';
import type { MessageVersion } from './types.ts';

interface Needs {
  transport: Transport;
  threadId: string;
  options: { versions?: boolean };
  getModel(): Model;
  setModel(model: Model): void;
  refresh(): void;
}

/** Continues the thread on the branch of a version. */
export async function showVersion(
  { transport, threadId: id, refresh }: Needs,
  { checkpointId }: MessageVersion,
): Promise<void> {
  await persist(() => transport.request(SHOW_VERSION, { id, checkpointId }));
  refresh();
}

/** Adds the messages before the first one, if there are any. */
export async function loadOlder(needs: Needs): Promise<void> {
  const { transport, threadId: id, options, getModel, setModel } = needs;
  const before = getModel().messages[0]?.id;
  if (before === undefined || !getModel().hasOlder) return;
  const variables = { id, before, versions: options.versions ?? false };
  const { thread } = await persist(() => transport.request(READ_OLDER_MESSAGES, variables));
  // Another branch, or an earlier call, may have changed the beginning.
  const isSame = getModel().messages[0]?.id === before;
  if (thread && isSame) setModel(addOlder(getModel(), thread.messages));
}
