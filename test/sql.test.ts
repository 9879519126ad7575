import { describe, expect, it } from 'vitest';
import { compile, empty, join, param, raw, sql } from '../src/db/sql.ts';
import { createTestApp } from './support/app.ts';

const INJECTION = `'; DROP TABLE "Thread"; --`;

describe('A statement', () => {
  it('binds each value as a parameter of its own', () => {
    expect(
      compile(sql`SELECT ${1}::int, ${1}::int, ${null}::text, ${[2, 3]}::int[]`),
    ).toMatchObject({
      text: 'SELECT $1::int, $2::int, $3::text, $4::int[]',
      values: [1, 1, null, [2, 3]],
    });
  });

  it('has no part of a value in its text', () => {
    const { text, values } = compile(sql`SELECT ${INJECTION}::text`);
    expect(text).toBe('SELECT $1::text');
    expect(values).toEqual([INJECTION]);
  });

  it('numbers the values of fragments in the order of the text', () => {
    const named = sql`"name" = ${'x'}`;
    const old = sql`"age" > ${60} AND ${named}`;
    expect(compile(sql`SELECT ${'a'} WHERE ${old} LIMIT ${5}`)).toMatchObject({
      text: 'SELECT $1 WHERE "age" > $2 AND "name" = $3 LIMIT $4',
      values: ['a', 60, 'x', 5],
    });
  });

  it('sends an explicit parameter once, wherever it and its fragments use it', () => {
    const id = param('t');
    const own = sql`"threadId" = ${id}`;
    expect(compile(sql`SELECT ${id} WHERE ${own} AND ${'t'} <> ${id} OR ${own}`)).toMatchObject({
      text: 'SELECT $1 WHERE "threadId" = $1 AND $2 <> $1 OR "threadId" = $1',
      values: ['t', 't'],
    });
    expect(compile(sql`${param('t')}, ${param('t')}`).values).toEqual(['t', 't']);
  });

  it('is composed of trusted text, of nothing, and of lists', () => {
    const conditions = [sql`a = ${1}`, sql`b = ${2}`, sql`c`];
    expect(compile(sql`${join(conditions, ' AND ')} ORDER BY ${raw('d')}${empty}`)).toMatchObject({
      text: 'a = $1 AND b = $2 AND c ORDER BY d',
      values: [1, 2],
    });
    expect(compile(sql`[${join([])}] ${join([raw('a'), raw('b')])}`).text).toBe('[] a, b');
  });

  it('knows whether it binds values', () => {
    expect(sql`a = ${1}`.bindsValues).toBe(true);
    expect(sql`${sql`${param(1)}`}`.bindsValues).toBe(true);
    expect(sql`a = ${raw('b')}${empty}`.bindsValues).toBe(false);
  });
});

describe('The text of a statement', () => {
  /** A function, because each call must make a new statement. */
  const search = (name: string | undefined, direction: string) =>
    compile(
      sql`SELECT 1 ${name === undefined ? empty : sql`WHERE "name" = ${name}`} ORDER BY 1 ${raw(direction)}`,
    );

  it('is written once for all statements of one shape', () => {
    const [first, second] = [search('a', 'ASC'), search('b', 'ASC')];
    expect(second.text).toBe(first.text);
    expect(second.name).toBe(first.name);
    expect([first.values, second.values]).toEqual([['a'], ['b']]);
  });

  it('differs with the shape, and so does its name', () => {
    const shared = param(1);
    const all = [
      search('a', 'ASC'),
      search('a', 'DESC'),
      search(undefined, 'ASC'),
      compile(sql`SELECT ${1}, ${1}`),
      compile(sql`SELECT ${shared}, ${shared}`),
      compile(sql`SELECT ${raw('1')}, ${1}`),
    ];
    expect(new Set(all.map(({ text }) => text)).size).toBe(all.length);
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });
});

describe('A database', () => {
  it('gets the values of statements, alone and in transactions', async () => {
    await using server = await createTestApp();
    const { sql: database } = server.app;
    const text = param(INJECTION);
    const statement = sql`SELECT ${text}::text AS "first", ${text}::text || ${'!'} AS "second", ${[1, 2]}::int[] AS "third"`;
    const rows = [{ first: INJECTION, second: `${INJECTION}!`, third: [1, 2] }];
    expect(await database.query(statement)).toEqual(rows);
    expect(await database.query(statement, { planAnew: true })).toEqual(rows);
    expect(await database.transaction((query) => query(statement))).toEqual(rows);
  });
});
