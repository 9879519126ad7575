import { v7 } from 'uuid';
import { BadInputError } from '../errors.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A new id: a UUID v7, so that ids sort by time. */
export function newId(): string {
  return v7();
}

/** The UUID as PostgreSQL writes it. Throws a BadInputError with the name of the argument. */
export function parseUuid(argument: string, value: string): string {
  if (!UUID.test(value))
    throw new BadInputError(argument, (name) => `${name(argument)} is not a UUID.`);
  return value.toLowerCase();
}

/** True if PostgreSQL accepts the value as a uuid. */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}
