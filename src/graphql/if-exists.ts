import { builder } from './builder.ts';

/** For every mutation to create an object with an id from the client. */
export const IfExists = builder.enumType('IfExists', {
  description: 'Behavior if the given id already exists.',
  values: {
    RAISE: { description: 'Fails with CONFLICT.' },
    DO_NOTHING: { description: 'Returns the existing object unchanged.' },
  },
});
