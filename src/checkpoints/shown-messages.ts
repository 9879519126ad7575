import { listParents, type CheckpointRow } from './find.ts';
import { inTurn, type Reading } from './graphs.ts';
import { idOrNull } from './message.ts';
import { findEntries, type MessageEntry } from './message-entries.ts';
import { findVersions, type MessageVersion } from './message-versions.ts';
import type { PlainMessage } from './plain.ts';
import { statesOf, type State } from './states.ts';

/** A message for the fields of its type. */
export interface ShownMessage {
  message: PlainMessage;
  /** Undefined for a message of an event. */
  page?: ShownPage;
}

/** A page of the messages of a state. The fields of its messages share their reads. */
interface ShownPage {
  row: CheckpointRow;
  messages: readonly PlainMessage[];
  entries?: Promise<Map<string, MessageEntry>>;
  before?: Promise<State[]>;
  versions?: Promise<Map<string, MessageVersion[]>>;
}

/** The entry of a message into the branch of its state. */
export async function entryOf(
  app: Reading,
  { message, page }: ShownMessage,
): Promise<MessageEntry | undefined> {
  const id = idOrNull(message.id);
  if (!page || id === null) return undefined;
  const ids = page.messages.flatMap((each) => idOrNull(each.id) ?? []);
  page.entries ??= inTurn(app, () => findEntries(app.sql.query, page.row, ids));
  return (await page.entries).get(id);
}

/** The state before a message, and before the input of its run. */
export async function stateBefore(app: Reading, shown: ShownMessage): Promise<State | undefined> {
  const entry = await entryOf(app, shown);
  const { page } = shown;
  if (!page || !entry) return undefined;
  page.before ??= statesBefore(app, page);
  return (await page.before).find(({ row }) => row.checkpointId === entry.before);
}

async function statesBefore(app: Reading, { entries }: ShownPage): Promise<State[]> {
  const found = Array.from((await entries)?.values() ?? []);
  const starts = found.map((entry) => ({ ...entry, parentId: entry.before }));
  return statesOf(app, await listParents(app.sql.query, starts));
}

/** The versions of a message. Empty if it has one version only. */
export async function versionsOf(app: Reading, shown: ShownMessage): Promise<MessageVersion[]> {
  const before = (await entryOf(app, shown))?.before;
  const { page } = shown;
  if (!page?.entries || before == null) return [];
  const entries = await page.entries;
  page.versions ??= inTurn(app, () => findVersions(app.sql.query, page.row, entries.values()));
  return (await page.versions).get(before) ?? [];
}
