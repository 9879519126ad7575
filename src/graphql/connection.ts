import type { ArgBuilder, InterfaceRef, ObjectRef } from '@pothos/core';
import type { Page } from '../db/page.ts';
import { builder } from './builder.ts';

type Types = (typeof builder)['$inferSchemaTypes'];

/**
 * Adds `<name>Connection` and `<name>Edge` to the schema: the GraphQL form of a page from `readPage`. `totalCount` is
 * counted only if selected. The field with this type takes its arguments from `pageArgs`:
 *
 *     const Threads = connectionOf(ThreadRef, 'Thread', { totalCount: true });
 *
 *     builder.queryField('threads', (t) =>
 *       t.field({
 *         type: Threads,
 *         args: { filter: t.arg({ type: ThreadFilter }), ...pageArgs(t) },
 *         resolve: (_root, args, app) => searchThreads(app, args),
 *       }),
 *     );
 */
export function connectionOf<Node extends object>(
  node: ObjectRef<Types, Node> | InterfaceRef<Types, Node>,
  name: string,
  { totalCount = false }: { totalCount?: boolean } = {},
): ObjectRef<Types, Page<Node>> {
  const Edge = builder.objectRef<Page<Node>['edges'][number]>(`${name}Edge`).implement({
    fields: (t) => ({
      cursor: t.exposeString('cursor'),
      node: t.field({ type: node, resolve: (edge) => edge.node as never }),
    }),
  });
  return builder.objectRef<Page<Node>>(`${name}Connection`).implement({
    fields: (t) => ({
      edges: t.field({ type: [Edge], resolve: (page) => page.edges }),
      nodes: t.field({
        type: [node],
        resolve: (page) => page.edges.map((edge) => edge.node) as never,
      }),
      pageInfo: t.field({ type: builder.pageInfoRef(), resolve: (page) => page.pageInfo }),
      ...(totalCount && {
        totalCount: t.int({
          description: 'Number of items on all pages: exact up to 10,000; 10,001 means more.',
          resolve: (page) => page.count(),
        }),
      }),
    }),
  });
}

/** The builder of a field, for functions that give several fields the same arguments. */
export interface Args {
  arg: ArgBuilder<Types>;
}

/** Arguments of a list with paging in both directions. */
export function pageArgs({ arg }: Args) {
  return {
    first: arg.int({ description: 'From 1 to 100. Default: 20.' }),
    after: arg.string({ description: 'A cursor of this list; the page starts after it.' }),
    last: arg.int({
      description: 'The last items instead, from 1 to 100. Combines with before, not with first.',
    }),
    before: arg.string({ description: 'A cursor of this list; the page ends before it.' }),
  };
}
