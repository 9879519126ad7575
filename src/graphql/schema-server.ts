import { readFileSync } from 'node:fs';
import type { Config } from '../config.ts';
import { LARGEST_PAGE } from '../db/page.ts';
import { builder } from './builder.ts';

const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
const { version } = JSON.parse(manifest) as { version: string };

const ServerLimitsRef = builder.objectRef<Config>('ServerLimits').implement({
  description: 'Limits of the server for its clients. docs/limits.md has all of them.',
  fields: (t) => ({
    requestBytes: t.exposeFloat('bodyLimitBytes', { description: 'Bytes of a request.' }),
    answerBytes: t.exposeFloat('answerLimitBytes', {
      description: 'Bytes of an answer or of an event of a subscription.',
    }),
    pageSize: t.int({ description: 'Items of a page.', resolve: () => LARGEST_PAGE }),
    cost: t.exposeInt('costLimit', { description: 'Cost of an operation.' }),
    runSeconds: t.exposeInt('runSeconds', { description: 'Seconds of a run.' }),
    waitSeconds: t.exposeInt('waitSeconds', {
      description: 'Seconds until a mutation with wait: true returns the unfinished run.',
    }),
    eventRetentionSeconds: t.exposeFloat('eventRetentionSeconds', {
      description: 'Seconds for which the events of an ended run stay.',
    }),
  }),
});

const ServerRef = builder.objectRef<Config>('Server').implement({
  description: 'The server behind this API.',
  fields: (t) => ({
    version: t.string({ description: 'Version of threadql.', resolve: () => version }),
    limits: t.field({
      type: ServerLimitsRef,
      description: 'The largest allowed values.',
      resolve: (config) => config,
    }),
  }),
});

builder.queryField('server', (t) =>
  t.field({
    type: ServerRef,
    description: 'The version of the server and its limits.',
    resolve: (_root, _args, { config }) => config,
  }),
);
