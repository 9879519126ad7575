import { lexicographicSortSchema, printSchema } from 'graphql';
import { expect, it } from 'vitest';
import { schema } from '../src/graphql/index.ts';

it('is the schema committed in schema.graphql', async () => {
  const sdl = printSchema(lexicographicSortSchema(schema));
  await expect(`${sdl}\n`).toMatchFileSnapshot('../schema.graphql');
});
