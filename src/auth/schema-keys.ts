import { builder } from '../graphql/builder.ts';
import { connectionOf, pageArgs } from '../graphql/connection.ts';
import { createApiKey, listApiKeys, revokeApiKey, type ApiKey } from './keys.ts';
import type { Viewer } from './viewer.ts';

const RoleEnum = builder.enumType('Role', {
  description:
    'The rights of a client in its tenant. Each role includes the rights of the roles before it.',
  values: {
    READER: { value: 'reader', description: 'Reads.' },
    MEMBER: { value: 'member', description: 'Also creates, runs, changes and deletes.' },
    ADMIN: { value: 'admin', description: 'Also sees all of its tenant, and manages API keys.' },
  } as const,
});

const ViewerRef = builder.objectRef<Viewer>('Viewer').implement({
  description: 'The client behind a request, as its credentials say.',
  fields: (t) => ({
    tenant: t.exposeString('tenant', {
      description: 'No request reaches objects of another tenant.',
    }),
    identity: t.exposeString('identity', {
      description: 'The owner of what it creates. Empty without access control.',
    }),
    roles: t.field({ type: [RoleEnum], resolve: ({ roles }) => roles }),
  }),
});

const ApiKeyRef = builder.objectRef<ApiKey>('ApiKey').implement({
  description: 'A key for clients. Its secret text is not stored.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Names the key in revokeApiKey; it is no secret.' }),
    name: t.exposeString('name'),
    owner: t.exposeString('owner', { description: 'The identity of the clients with this key.' }),
    roles: t.field({ type: [RoleEnum], resolve: ({ roles }) => roles }),
    last4: t.exposeString('last4', {
      description: 'The last four characters of the key, to recognize it.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'The end of the key. Null: it does not expire.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'The time of revokeApiKey, or null.',
    }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'The time of the last use, exact to a minute. Null: it was never used.',
    }),
  }),
});

const ApiKeyConnection = connectionOf(ApiKeyRef, 'ApiKey');

builder.queryFields((t) => ({
  viewer: t.field({
    type: ViewerRef,
    description: 'The client behind this request.',
    resolve: (_root, _args, app) => app.viewer,
  }),
  apiKeys: t.field({
    type: ApiKeyConnection,
    nullable: true,
    description:
      'The API keys of the tenant, newest first. Revoked and expired keys stay in the list for 30 days. Needs the role ADMIN.',
    args: pageArgs(t),
    resolve: (_root, args, app) => listApiKeys(app, app.viewer, args),
  }),
}));

const CreateApiKeyInput = builder.inputType('CreateApiKeyInput', {
  fields: (t) => ({
    name: t.string({ required: true, description: 'What the key is for: 1 to 255 characters.' }),
    owner: t.string({
      required: true,
      description: 'The identity of the clients with this key: 1 to 255 characters.',
    }),
    roles: t.field({ type: [RoleEnum], required: true, description: 'One or more.' }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'The end of the key, in the future. Default: it does not expire.',
    }),
  }),
});

const CreatedApiKey = builder
  .objectRef<Awaited<ReturnType<typeof createApiKey>>>('CreatedApiKey')
  .implement({
    description: 'The result of createApiKey.',
    fields: (t) => ({
      key: t.exposeString('key', {
        description:
          'The key, for the header x-api-key or authorization: Bearer. No other answer shows it.',
      }),
      apiKey: t.field({ type: ApiKeyRef, resolve: ({ apiKey }) => apiKey }),
    }),
  });

builder.mutationFields((t) => ({
  createApiKey: t.field({
    type: CreatedApiKey,
    nullable: true,
    description: 'Creates a key for the tenant of the client. Needs the role ADMIN.',
    args: { input: t.arg({ type: CreateApiKeyInput, required: true }) },
    resolve: (_root, { input }, app) => createApiKey(app, app.viewer, input),
  }),
  revokeApiKey: t.field({
    type: ApiKeyRef,
    nullable: true,
    description:
      'Ends a key: requests with it fail after at most 60 seconds. Again: no further effect. Needs the role ADMIN.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, app) => revokeApiKey(app, app.viewer, id),
  }),
}));
