import { requireRole } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Reading } from '../checkpoints/graphs.ts';
import type { Config } from '../config.ts';
import { isEmptyFilter, LARGEST_PAGE, readIds } from '../db/page.ts';
import { BadInputError, NotFoundError } from '../errors.ts';
import type { EventTail } from '../events/tail.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { deleteThread } from './delete.ts';
import { pruneThread } from './prune.ts';
import { searchThreads, type ThreadFilter } from './search.ts';
import { updateThread } from './update.ts';

/** Threads by their ids, or by a filter. */
export interface ThreadSelection {
  ids?: readonly string[] | null | undefined;
  filter?: ThreadFilter | null | undefined;
}

/**
 * Deletes the selected threads, each in its own transaction, and returns their ids. Leaves out threads that do not exist. If one
 * deletion fails, the earlier ones stay.
 */
export async function deleteThreads(
  app: Reading & { tail: EventTail },
  viewer: Viewer,
  selection: ThreadSelection,
): Promise<string[]> {
  return forEach(await selectedIds(app, viewer, selection), (id) => deleteThread(app, viewer, id));
}

/** Merges metadata into the metadata of the selected threads, as `deleteThreads` deletes them. Returns the new rows. */
export async function updateThreads(
  app: Reading & { config: Config },
  viewer: Viewer,
  selection: ThreadSelection,
  change: { metadata: Record<string, unknown> },
): Promise<Thread[]> {
  return forEach(await selectedIds(app, viewer, selection), (id) =>
    updateThread(app, viewer, id, change),
  );
}

/** Deletes the history of the selected threads, as `deleteThreads` deletes threads. Returns their rows. */
export async function pruneThreads(
  app: Reading & { config: Config },
  viewer: Viewer,
  selection: ThreadSelection,
): Promise<Thread[]> {
  return forEach(await selectedIds(app, viewer, selection), (id) => pruneThread(app, viewer, id));
}

/** The ids of the selection, or of the newest threads of its filter, at most 100. Throws FORBIDDEN for a viewer that only reads. */
async function selectedIds(
  app: Reading,
  viewer: Viewer,
  { ids, filter }: ThreadSelection,
): Promise<string[]> {
  requireRole(viewer, 'member');
  if (ids != null) return [...new Set(readIds('selection.ids', ids))];
  const at = 'selection.filter';
  if (isEmptyFilter(filter ?? {})) {
    throw new BadInputError(
      at,
      (name) => `${name(at)} must not be empty: an empty filter selects all threads.`,
    );
  }
  const { edges } = await searchThreads(app, viewer, filter ?? {}, { first: LARGEST_PAGE, at });
  return edges.map(({ node }) => node.id);
}

/** Works on each thread in turn. Leaves out threads that do not exist. */
async function forEach<Result>(
  ids: readonly string[],
  work: (id: string) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const id of ids) {
    try {
      results.push(await work(id));
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
  return results;
}
