import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { PrismaPg } from '@prisma/adapter-pg';
import { ColumnTypeEnum, bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import pg from 'pg';

const SCHEMA = new URL('../../prisma/schema.prisma', import.meta.url);

/** Returns the statements that change the database of `pool` to schema.prisma, like `prisma migrate diff`. */
export async function diffFromSchema(pool: pg.Pool): Promise<string[]> {
  const SchemaEngine = await (schemaEngine ??= loadSchemaEngine());
  const engine = await SchemaEngine.new(
    { datamodels: undefined },
    () => {},
    bindMigrationAwareSqlAdapterFactory(readingChar(pool)),
  );
  const files = [{ path: 'schema.prisma', content: await readFile(SCHEMA, 'utf8') }];
  const { stdout } = await engine.diff({
    from: { tag: 'schemaDatasource', files, configDir: '.' },
    to: { tag: 'schemaDatamodel', files },
    script: true,
    exitCode: null,
    filters: { externalTables: [], externalEnums: [] },
  });
  const lines = (stdout ?? '').split('\n').filter((line) => !line.startsWith('--'));
  return lines
    .join('\n')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

/** Loaded once per process: its JavaScript part supports a single instance. */
let schemaEngine: ReturnType<typeof loadSchemaEngine> | undefined;

/** The main entry of the package imports WebAssembly as a module. Node 20 does not support this. */
async function loadSchemaEngine() {
  const require = createRequire(import.meta.url);
  const engine = await import('@prisma/schema-engine-wasm/schema_engine_bg');
  const file = require
    .resolve('@prisma/schema-engine-wasm/schema_engine_bg')
    .replace(/\.js$/, '.wasm');
  const imports = { './schema_engine_bg.js': { ...engine } as WebAssembly.ModuleImports };
  const { instance } = await WebAssembly.instantiate(await readFile(file), imports);
  const { __wbindgen_start: start } = instance.exports;
  engine.__wbg_set_wasm(instance.exports);
  if (typeof start === 'function') start();
  return engine.SchemaEngine;
}

/**
 * Prisma's adapter does not know the type "char", a frequent type in the catalogs (prisma/orm#27403). So a column of this type
 * is first an array of "char", which the adapter knows, and gets its own type afterwards.
 */
function readingChar(pool: pg.Pool): PrismaPg {
  const CHAR = 18;
  const CHAR_ARRAY = 1002;
  const query = pool.query.bind(pool) as (...args: unknown[]) => Promise<pg.QueryResult>;
  Object.assign(pool, {
    async query(...args: unknown[]) {
      const result = await query(...args);
      for (const field of result.fields) {
        if (field.dataTypeID === CHAR) field.dataTypeID = CHAR_ARRAY;
      }
      return result;
    },
  });
  const adapter = new PrismaPg(pool);
  const connect = adapter.connect.bind(adapter);
  adapter.connect = async () => {
    const connection = await connect();
    const queryRaw = connection.queryRaw.bind(connection);
    connection.queryRaw = async (statement) => {
      const result = await queryRaw(statement);
      const { Character, CharacterArray } = ColumnTypeEnum;
      return {
        ...result,
        columnTypes: result.columnTypes.map((type) => (type === CharacterArray ? Character : type)),
      };
    };
    return connection;
  };
  return adapter;
}
