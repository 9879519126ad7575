import { raw, sql, type Statement } from '../db/sql.ts';
import { BadInputError } from '../errors.ts';

const MOST_CHARS = 200;

/**
 * The condition that the texts in the metadata of a thread contain the beginning of each word. It equals the expression of the index
 * "Thread_text_idx". In the index, each thread also has its tenant after a space, as no word has: the threads of other tenants do not
 * match. Throws BadInputError for a text without words.
 */
export function textCondition(
  argument: string,
  text: string,
  tenant: string | undefined,
): Statement {
  if (text.length > MOST_CHARS) {
    throw new BadInputError(
      argument,
      (name) =>
        `${name(argument)} has ${text.length} characters; at most ${MOST_CHARS} are allowed.`,
    );
  }
  const words = text.split(/\s+/u).filter((word) => /[\p{L}\p{N}]/u.test(word));
  if (words.length === 0) {
    throw new BadInputError(
      argument,
      (name) => `${name(argument)} must contain a letter or a digit.`,
    );
  }
  const query = words.map((word) => `${quote(word)}:*`).join(' & ');
  const found = sql`${HAS_TEXT} AND ${WORDS} @@`;
  if (tenant === undefined) return sql`${found} to_tsquery('simple', ${query})`;
  return sql`${found} (to_tsquery('simple', ${query}) && ${quote(` ${tenant}`)}::tsquery)`;
}

function quote(lexeme: string): string {
  return `'${lexeme.replace(/['\\]/g, '$&$&')}'`;
}

const HAS_TEXT = raw(`"metadata" - '{graph_id,assistant_id}'::text[] <> '{}'`);
/** Without the guard, a thread with a megabyte of words would exceed the largest tsvector. */
const WORDS = raw(
  `CASE WHEN length("metadata"::text) <= 262144 THEN jsonb_to_tsvector('simple', "metadata" - '{graph_id,assistant_id}'::text[], '["string"]') || array_to_tsvector(ARRAY[' ' || "tenant"]) END`,
);
