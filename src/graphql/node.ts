import { brandWithType } from '@pothos/core';
import type { ClientApp } from '../app.ts';
import { findAssistant } from '../assistants/search.ts';
import { readableAssistants, readableRows } from '../auth/scope.ts';
import { parseUuid } from '../db/uuid.ts';
import { AppError } from '../errors.ts';
import { findRun } from '../runs/search.ts';
import { showThread } from '../threads/state.ts';
import { builder } from './builder.ts';

/**
 * An object with a UUID for `node(id)`. A domain's type declares `interfaces: [NodeRef]` and inherits `id`:
 *
 *     export const ThreadRef = builder.prismaObject('Thread', { interfaces: [NodeRef], fields: … });
 */
export const NodeRef = builder.interfaceRef<{ id: string }>('Node').implement({
  description: 'An object with a server-wide unique UUID, readable by `node(id)`.',
  fields: (t) => ({
    id: t.exposeID('id', {
      description: 'A UUID, unique over all types and equal in all APIs of this server.',
    }),
  }),
});

builder.queryField('node', (t) =>
  t.field({
    type: NodeRef,
    nullable: true,
    description: 'The assistant, thread or run with this UUID. Null if none exists.',
    args: { id: t.arg.id({ required: true }) },
    resolve: async (_root, args, app) => {
      const { db, viewer } = app;
      const id = parseUuid('id', args.id);
      const readable = readableRows(viewer);
      const [assistant, thread, run] = await Promise.all([
        db.assistant.findUnique({
          where: { id, deletedAt: null, ...readableAssistants(viewer) },
        }),
        db.thread.findUnique({ where: { id, ...readable } }),
        db.run.findUnique({ where: { id, tombstone: false, ...readable } }),
      ]);
      const found = { Assistant: assistant, Thread: thread, Run: run };
      const type = TYPES.find((each) => found[each] !== null);
      if (!type) return null;
      const row = viewer.ask ? await readAllowed(app, type, id) : found[type];
      return row && branded(row, type);
    },
  }),
);

const TYPES = ['Assistant', 'Thread', 'Run'] as const;

/** Reads a row with the permission of handlers. Null also after an error of a handler: it would say that the row exists. */
async function readAllowed(
  app: ClientApp,
  type: (typeof TYPES)[number],
  id: string,
): Promise<{ id: string } | null> {
  const { viewer } = app;
  try {
    if (type === 'Assistant') return await findAssistant(app, viewer, id);
    if (type === 'Thread') return (await showThread(app, viewer, id)) ?? null;
    return (await findRun(app, viewer, id)) ?? null;
  } catch (error) {
    if (!(error instanceof AppError))
      app.log.error({ err: error }, 'a handler failed for node(id)');
    return null;
  }
}

function branded<Row extends object>(row: Row, type: string): Row {
  brandWithType(row, type as never);
  return row;
}
