import { builder } from './builder.ts';

/** For every mutation to create an object with an id from the client. */
export const IfExists = builder.enumType('IfExists', {
  description: 'Behavior if the given id already exists.',
  values: {
    RAISE: { description: 'Fails with CONFLICT.' },
    DO_NOTHING: { description: 'Returns the existing object unchanged.' },
  },
});

/** The options of the field `isNew` of an object that mutations create. */
export const IS_NEW = {
  nullable: true,
  description:
    'In the result of a mutation that creates objects: true if it created this object, false if it returned an existing one. Otherwise null.',
  resolve: (object: { id: string; isNew?: boolean }) => object.isNew ?? null,
} as const;
