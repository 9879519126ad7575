import type { ChannelStorage, StorageDetails } from '../checkpoints/storage-details.ts';
import { builder } from '../graphql/builder.ts';
import { ThreadRef } from './schema.ts';
import { storageDetails } from './state.ts';

const PartRef = builder.objectRef<StorageDetails['values']>('StoragePart').implement({
  description: 'Stored rows of one kind.',
  fields: (t) => ({
    count: t.exposeInt('count', { description: 'Number of rows.' }),
    bytes: t.exposeFloat('bytes', { description: 'Bytes after the compression by PostgreSQL.' }),
  }),
});

const ChannelRef = builder.objectRef<ChannelStorage>('ChannelStorage').implement({
  description: 'The values of a channel in all states of a thread and of its subgraphs.',
  fields: (t) => ({
    channel: t.exposeString('channel', { description: 'Name of the channel.' }),
    versions: t.exposeInt('versions', { description: 'Number of stored values.' }),
    bytes: t.exposeFloat('bytes', {
      description: 'If channels share content, it counts for each of them.',
    }),
  }),
});

const StorageRef = builder.objectRef<StorageDetails>('ThreadStorage').implement({
  description:
    'What a thread stores. The bytes of checkpoints, values and writes together are storageBytes.',
  fields: (t) => ({
    checkpoints: t.field({
      type: PartRef,
      description: 'Checkpoints without their values.',
      resolve: ({ checkpoints }) => checkpoints,
    }),
    values: t.field({
      type: PartRef,
      description: 'Values of channels. Content of several values counts once.',
      resolve: ({ values }) => values,
    }),
    writes: t.field({
      type: PartRef,
      description: 'Writes of tasks on top of checkpoints.',
      resolve: ({ writes }) => writes,
    }),
    channels: t.field({
      type: [ChannelRef],
      description: 'The largest first, with channels of LangGraph.',
      resolve: ({ channels }) => channels,
    }),
  }),
});

builder.prismaObjectField(ThreadRef, 'storage', (t) =>
  t.field({
    extensions: { cost: 10 },
    type: StorageRef,
    description: 'The parts of storageBytes.',
    resolve: (thread, _args, app) => storageDetails(app, thread),
  }),
);
