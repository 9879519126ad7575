import { once } from 'node:events';
import net from 'node:net';
import pg from 'pg';

/** A node of a plan as EXPLAIN (FORMAT JSON, ANALYZE, BUFFERS) prints it; rows are per loop. */
export interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  'Rows Removed by Join Filter'?: number;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: PlanNode[];
}

/** A statement that was executed, and how. */
export interface ExecutedPlan {
  text: string;
  plan: PlanNode;
}

/** The way to a database that shows the plan of every statement, also of those that foreign keys cause. */
export interface PlanRecorder extends AsyncDisposable {
  /** The database's, by way of the recorder. */
  databaseUrl: string;
  executed: ExecutedPlan[];
}

/** What makes PostgreSQL send each plan, as a notice, to whoever sent the statement. */
const SHOW_PLANS = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_buffers': 'on',
  'auto_explain.log_timing': 'off',
  'auto_explain.log_nested_statements': 'on',
  'auto_explain.log_format': 'json',
  'auto_explain.log_level': 'notice',
};

/**
 * What sessions do with prepared statements: plan them for each execution's values, or once for all values. PostgreSQL
 * itself chooses one of the two when it has executed a statement five times, and keeps to it.
 */
export type PlanCacheMode = 'force_custom_plan' | 'force_generic_plan' | 'auto';

/** Listens in front of a database, until it is disposed of. */
export async function recordPlans(
  databaseUrl: string,
  planCacheMode: PlanCacheMode,
): Promise<PlanRecorder> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  // A parameter that PostgreSQL does not know yet is refused unless its library is loaded.
  await client.query(`LOAD 'auto_explain'`);
  const settings = { ...SHOW_PLANS, plan_cache_mode: planCacheMode };
  for (const [name, value] of Object.entries(settings)) {
    await client.query(`ALTER DATABASE ${client.database} SET ${name} = '${value}'`);
  }
  await client.end();

  const executed: ExecutedPlan[] = [];
  const sockets = new Set<net.Socket>();
  const { host, port } = client;
  const server = net.createServer((near) => {
    const far = net.connect({ host, port });
    const read = createReader((notice) => {
      const json = /plan:\n(\{.*\})\s*$/s.exec(notice)?.[1];
      if (json === undefined) return;
      const { 'Query Text': text, Plan: plan } = JSON.parse(json);
      executed.push({ text, plan });
    });
    far.on('data', read);
    far.pipe(near).pipe(far);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as net.AddressInfo;

  return {
    databaseUrl: Object.assign(new URL(databaseUrl), {
      hostname: '127.0.0.1',
      port: String(address.port),
    }).href,
    executed,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

const NOTICE = 'N'.charCodeAt(0);
const HEADER_BYTES = 5;

/** Takes what PostgreSQL sends, in any pieces; calls `onNotice` with the text of each notice. */
function createReader(onNotice: (text: string) => void): (piece: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (piece) => {
    rest = rest.length === 0 ? Buffer.from(piece) : Buffer.concat([rest, piece]);
    while (rest.length >= HEADER_BYTES) {
      // The length counts itself, and not the byte before it that says what the message is.
      const end = 1 + rest.readInt32BE(1);
      if (rest.length < end) return;
      if (rest[0] === NOTICE) onNotice(textOf(rest.subarray(HEADER_BYTES, end)));
      rest = rest.subarray(end);
    }
  };
}

/** The field M of a notice: its fields are a letter and a text each. */
function textOf(fields: Buffer): string {
  const texts = fields.toString().split('\0');
  return texts.find((text) => text.startsWith('M'))?.slice(1) ?? '';
}

/** All nodes of a plan. */
export function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/** Rows that a node gave, over all its loops. */
export function rowsGiven(node: PlanNode): number {
  return node['Actual Rows'] * node['Actual Loops'];
}

/** Rows that a node looked at, over all its loops. */
export function rowsRead(node: PlanNode): number {
  const removed =
    (node['Rows Removed by Filter'] ?? 0) +
    (node['Rows Removed by Index Recheck'] ?? 0) +
    (node['Rows Removed by Join Filter'] ?? 0);
  return (node['Actual Rows'] + removed) * node['Actual Loops'];
}

/** A plan as one reads it. */
export function printPlan(node: PlanNode, indent = ''): string {
  const where = [node['Relation Name'], node['Index Name']].filter(Boolean).join(' by ');
  const own = `${indent}${node['Node Type']} ${where}: ${rowsGiven(node)} of ${rowsRead(node)} rows, ${pagesRead(node)} pages`;
  return [own, ...(node.Plans ?? []).map((child) => printPlan(child, `${indent}  `))].join('\n');
}

/** Pages that a node and those below it looked at. */
export function pagesRead(node: PlanNode): number {
  return node['Shared Hit Blocks'] + node['Shared Read Blocks'];
}
