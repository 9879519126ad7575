import pg from 'pg';

/** A connection of the test to a database. */
type PgClient = pg.Client & AsyncDisposable;

export async function connect(url: string | undefined): Promise<PgClient> {
  const client = new pg.Client(url);
  client.on('error', () => {}); // The test may end the connection, or drop its database.
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

/** The same connection, with verbs for the database of a server. */
interface Administrator extends PgClient {
  /** Changes a property of the database: the rest of ALTER DATABASE. */
  set(property: string): Promise<unknown>;
  /** Ends all connections to the database. */
  terminate(): Promise<unknown>;
}

/** Connects to another database of the same PostgreSQL. */
export async function connectBeside(databaseUrl: string | undefined): Promise<Administrator> {
  const url = new URL(String(databaseUrl));
  const name = url.pathname.slice(1);
  const client = await connect(Object.assign(url, { pathname: '/postgres' }).href);
  return Object.assign(client, {
    set: (property: string) => client.query(`ALTER DATABASE "${name}" ${property}`),
    terminate: () =>
      client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, [
        name,
      ]),
  });
}
