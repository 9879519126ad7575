import { builder } from '../graphql/builder.ts';
import { deleteThreads, pruneThreads, updateThreads } from './bulk.ts';
import { UpdateThreadInput } from './schema-mutations.ts';
import { ThreadFilter, ThreadRef } from './schema.ts';

const ThreadSelection = builder.inputType('ThreadSelection', {
  isOneOf: true,
  description: 'At most 100 threads.',
  fields: (t) => ({
    ids: t.idList({ description: '1 to 100 UUIDs. Threads that do not exist are left out.' }),
    filter: t.field({
      type: ThreadFilter,
      description: 'The newest 100 threads that match. The filter must not be empty.',
    }),
  }),
});

const ONE_BY_ONE =
  'After a failure midway, the earlier threads are already done: repeat the request.';

builder.mutationField('deleteThreads', (t) =>
  t.idList({
    nullable: true,
    description: `Deletes at most 100 threads, as deleteThread does, and returns their ids. To delete all threads of a filter, repeat the request until it returns fewer than 100. ${ONE_BY_ONE}`,
    args: { selection: t.arg({ type: ThreadSelection, required: true }) },
    resolve: (_root, { selection }, app) => deleteThreads(app, app.viewer, selection),
  }),
);

builder.mutationField('updateThreads', (t) =>
  t.field({
    type: [ThreadRef],
    nullable: true,
    description: `Changes the metadata of at most 100 threads, as updateThread does, and returns them. ${ONE_BY_ONE}`,
    args: {
      selection: t.arg({ type: ThreadSelection, required: true }),
      input: t.arg({ type: UpdateThreadInput, required: true }),
    },
    resolve: (_root, { selection, input }, app) => updateThreads(app, app.viewer, selection, input),
  }),
);

builder.mutationField('pruneThreads', (t) =>
  t.field({
    type: [ThreadRef],
    nullable: true,
    description: `Deletes the history of at most 100 threads, and returns them: the current state stays, and the next run continues from it. Earlier runs lose their output. THREAD_BUSY while a run of a thread is pending or running, CONFLICT while a question is open. ${ONE_BY_ONE}`,
    args: { selection: t.arg({ type: ThreadSelection, required: true }) },
    resolve: (_root, { selection }, app) => pruneThreads(app, app.viewer, selection),
  }),
);
