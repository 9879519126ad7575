import * as messages from '@langchain/core/messages';
import * as langgraph from '@langchain/langgraph';
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres';
import pg from 'pg';
import { createTurns } from '../graphs/turns.ts';

export const graph = createTurns(langgraph, messages);
export const { MemorySaver } = langgraph;

/** The stock saver, and how many statements it has run. */
export async function openStockSaver(connectionString, max) {
  const pool = new pg.Pool({ connectionString, max });
  let statements = 0;
  pool.on('connect', (client) => {
    const query = client.query.bind(client);
    client.query = (...args) => {
      statements++;
      return query(...args);
    };
  });
  const saver = new PostgresSaver(pool);
  await saver.setup();
  return { saver, statements: () => statements };
}
