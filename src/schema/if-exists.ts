import { builder } from './builder.ts';

/** For every creation with an id of the client's own. */
export const IfExists = builder.enumType('IfExists', {
  description: 'What happens where the id that was given is there already.',
  values: {
    RAISE: { description: 'CONFLICT.' },
    DO_NOTHING: { description: 'What is there is given, as it is.' },
  },
});
