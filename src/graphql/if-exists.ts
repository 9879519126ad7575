import { builder } from './builder.ts';

/** For every mutation to create an object with an id from the client. */
export const IfExists = builder.enumType('IfExists', {
  description: 'Behavior if the given id already exists.',
  values: {
    RAISE: { description: 'Fails with CONFLICT.' },
    DO_NOTHING: { description: 'Returns the existing object unchanged.' },
  },
});

/** Whether the current mutation has created the object. Null outside of such a mutation. */
export function isNew(object: { id: string; isNew?: boolean }): boolean | null {
  return object.isNew ?? null;
}

export const IS_NEW =
  'In the result of a mutation that creates objects: true if it created this object, false if it returned an existing one. Otherwise null.';
