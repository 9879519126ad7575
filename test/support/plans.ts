import { once } from 'node:events';
import net from 'node:net';
import pg from 'pg';

/** A node of a plan in the format of EXPLAIN (FORMAT JSON, ANALYZE, BUFFERS). Rows are per loop. */
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

/** An executed statement and its plan. */
export interface ExecutedPlan {
  text: string;
  plan: PlanNode;
}

/** A proxy of a database that records the plan of every statement, including statements of foreign keys. */
export interface PlanRecorder extends AsyncDisposable {
  /** The URL of the database through the proxy. */
  databaseUrl: string;
  executed: ExecutedPlan[];
}

/** Settings with which PostgreSQL sends each plan as a notice to the client of the statement. */
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
 * The plans of prepared statements: for the values of each execution, or for all values. PostgreSQL chooses between the two
 * after five executions of a statement, and keeps its choice.
 */
export type PlanCacheMode = 'force_custom_plan' | 'force_generic_plan' | 'auto';

/** Listens in front of a database until it is disposed of. */
export async function recordPlans(
  databaseUrl: string,
  planCacheMode: PlanCacheMode,
): Promise<PlanRecorder> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  // PostgreSQL refuses an unknown parameter until its library is loaded.
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

/** Reads the messages of PostgreSQL, in any pieces. Calls `onNotice` with the text of each notice. */
function createReader(onNotice: (text: string) => void): (piece: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (piece) => {
    rest = rest.length === 0 ? Buffer.from(piece) : Buffer.concat([rest, piece]);
    while (rest.length >= HEADER_BYTES) {
      // The length includes itself, but not the byte before it. This byte is the type of the message.
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

/** The number of rows from a node, over all its loops. */
export function rowsGiven(node: PlanNode): number {
  return node['Actual Rows'] * node['Actual Loops'];
}

/** The number of rows that a node examined, over all its loops. */
export function rowsRead(node: PlanNode): number {
  const removed =
    (node['Rows Removed by Filter'] ?? 0) +
    (node['Rows Removed by Index Recheck'] ?? 0) +
    (node['Rows Removed by Join Filter'] ?? 0);
  return (node['Actual Rows'] + removed) * node['Actual Loops'];
}

/** Formats a plan for people. */
export function printPlan(node: PlanNode, indent = ''): string {
  const where = [node['Relation Name'], node['Index Name']].filter(Boolean).join(' by ');
  const own = `${indent}${node['Node Type']} ${where}: ${rowsGiven(node)} of ${rowsRead(node)} rows, ${pagesRead(node)} pages`;
  return [own, ...(node.Plans ?? []).map((child) => printPlan(child, `${indent}  `))].join('\n');
}

/** The number of pages that a node and its children read. */
export function pagesRead(node: PlanNode): number {
  return node['Shared Hit Blocks'] + node['Shared Read Blocks'];
}
