import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import type pg from 'pg';
import { compile, sql } from './sql.ts';

/**
 * Positions in lists as texts for clients. A position contains a number that the rows of all tenants share, or a time, so a client
 * must not read it. Equal positions give equal texts, in each process of a database.
 */
export interface Cursors {
  /** `list` names the list: a cursor of another list is not valid. */
  seal(list: string, position: readonly string[]): string;
  /** Undefined: the text is not a cursor of this list. */
  open(list: string, cursor: string): string[] | undefined;
}

const NAME = 'cursors';
const SECRET_BYTES = 32;
const TAG_BYTES = 16;
/** Positions are padded: otherwise their length shows the number of digits. Two numbers of 19 digits fit. */
const BLOCK_CHARS = 48;

/** The secret of the cursors of this database. The first process makes it. */
export async function readSecret(client: pg.ClientBase): Promise<Buffer> {
  const find = compile(sql`SELECT "value" FROM "Secret" WHERE "name" = ${NAME}`);
  const make = compile(
    sql`INSERT INTO "Secret" ("name", "value") VALUES (${NAME}, ${randomBytes(SECRET_BYTES)}) ON CONFLICT DO NOTHING`,
  );
  const read = async () => (await client.query<{ value: Buffer }>(find.text, find.values)).rows[0];
  const found = await read();
  if (found) return found.value;
  await client.query(make.text, make.values);
  const made = await read();
  if (!made) throw new Error('The secret of the cursors is not in the table "Secret".');
  return made.value;
}

/** Encrypts each position with AES in counter mode. Its first block is the HMAC of list and position, which `open` compares. */
export function createCursors(secret: Buffer): Cursors {
  const keyFor = (use: string) => Buffer.from(hkdfSync('sha256', secret, '', use, SECRET_BYTES));
  const [tagKey, textKey] = [keyFor('tag'), keyFor('text')];

  const tagOf = (list: string, text: string) =>
    createHmac('sha256', tagKey).update(`${list}\0${text}`).digest().subarray(0, TAG_BYTES);

  return {
    seal(list, position) {
      const json = JSON.stringify(position);
      const text = json.padEnd(Math.ceil(json.length / BLOCK_CHARS) * BLOCK_CHARS);
      const tag = tagOf(list, text);
      const encrypted = createCipheriv('aes-256-ctr', textKey, tag).update(text, 'utf8');
      return Buffer.concat([tag, encrypted]).toString('base64url');
    },
    open(list, cursor) {
      const bytes = Buffer.from(cursor, 'base64url');
      if (bytes.length <= TAG_BYTES || bytes.toString('base64url') !== cursor) return undefined;
      const tag = bytes.subarray(0, TAG_BYTES);
      const text = createDecipheriv('aes-256-ctr', textKey, tag)
        .update(bytes.subarray(TAG_BYTES))
        .toString();
      if (!timingSafeEqual(tag, tagOf(list, text))) return undefined;
      return JSON.parse(text) as string[];
    },
  };
}
