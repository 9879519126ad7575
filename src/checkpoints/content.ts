import { raw } from '../db/sql.ts';
import type { StoredItem } from './items.ts';

// JSON travels as text in a column of its own: as bytes, PostgreSQL would send it as text of twice the size.

const IS_JSON = `"type" IN ('json', 'elements')`;

/** SQL: the columns of the content of a row that has `type` and `value`. */
export const CONTENT_COLUMNS = {
  value: `CASE WHEN NOT ${IS_JSON} THEN "value" END AS "value"`,
  text: `CASE WHEN ${IS_JSON} THEN convert_from("value", 'UTF8') END AS "text"`,
};

/** The same as a part of a select list. */
export const CONTENT = raw(Object.values(CONTENT_COLUMNS).join(', '));

export interface WithText {
  text: string | null;
}

/** The row with its content in `value`. */
export function withContent<Row extends StoredItem & WithText>(row: Row): Row {
  return row.text === null ? row : { ...row, value: row.text };
}
