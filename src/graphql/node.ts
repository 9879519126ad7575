import { brandWithType } from '@pothos/core';
import { readableAssistants, readableRows } from '../auth/scope.ts';
import { parseUuid } from '../db/uuid.ts';
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
    resolve: async (_root, args, { db, viewer }) => {
      const id = parseUuid('id', args.id);
      const readable = readableRows(viewer);
      const [assistant, thread, run] = await Promise.all([
        db.assistant.findUnique({
          where: { id, deletedAt: null, ...readableAssistants(viewer) },
        }),
        db.thread.findUnique({ where: { id, ...readable } }),
        db.run.findUnique({ where: { id, tombstone: false, ...readable } }),
      ]);
      if (assistant) return branded(assistant, 'Assistant');
      if (thread) return branded(thread, 'Thread');
      return run && branded(run, 'Run');
    },
  }),
);

function branded<Row extends object>(row: Row, type: string): Row {
  brandWithType(row, type as never);
  return row;
}
