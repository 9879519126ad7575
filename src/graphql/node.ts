import { brandWithType } from '@pothos/core';
import type { App } from '../app.ts';
import { findAssistant } from '../assistants/search.ts';
import { withoutHandlers, type Viewer } from '../auth/viewer.ts';
import type { NodeType } from '../db/node-id.ts';
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
      const { viewer } = app;
      const id = parseUuid('id', args.id);
      const find = (as: Viewer, type: NodeType) => READERS[type](app, as, id);
      const found = await Promise.all(TYPES.map((type) => find(withoutHandlers(viewer), type)));
      const type = TYPES.find((_, i) => found[i]);
      if (!type) return null;
      const row = viewer.ask
        ? await orNull(app, () => find(viewer, type))
        : found[TYPES.indexOf(type)];
      return row ? branded(row, type) : null;
    },
  }),
);

/** Null also after an error of a handler: it would say that the row exists. */
async function orNull<Row>(
  { log }: Pick<App, 'log'>,
  find: () => Promise<Row>,
): Promise<Row | null> {
  try {
    return await find();
  } catch (error) {
    if (!(error instanceof AppError)) log.error({ err: error }, 'a handler failed for node(id)');
    return null;
  }
}

type Reader = (app: App, viewer: Viewer, id: string) => Promise<{ id: string } | null | undefined>;

const READERS: Record<NodeType, Reader> = {
  Assistant: findAssistant,
  Thread: showThread,
  async Run(app, viewer, id) {
    const run = await findRun(app, viewer, id);
    return run?.tombstone ? null : run;
  },
};

const TYPES = Object.keys(READERS) as NodeType[];

function branded<Row extends object>(row: Row, type: string): Row {
  brandWithType(row, type as never);
  return row;
}
