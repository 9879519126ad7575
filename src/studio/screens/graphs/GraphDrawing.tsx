import { lazy, Suspense, useState } from 'react';
import { useQuery } from 'urql';
import { CopyButton } from '../../ui/CopyButton.tsx';
import { showJson } from '../../ui/json/parse.ts';
import { Empty, ErrorNote, Loading } from '../../ui/Notes.tsx';
import { list } from '../../ui/Screen.tsx';
import { READ_GRAPH, type GraphEdge, type GraphNode } from './documents.ts';
import classes from './Graph.module.css';
import { marksOf, wordsOf, type Marks } from './marks.ts';

const GraphCanvas = lazy(() => import('./GraphCanvas.tsx'));

interface GraphDrawingProps {
  graphId: string;
  /** The nodes that run, ran, and run next, as paths. */
  paths?: Parameters<typeof marksOf>[1];
}

const NO_PATHS = { running: [], ran: [], next: [] };

/** A graph as a drawing, and the same facts as a table. */
export function GraphDrawing({ graphId, paths = NO_PATHS }: GraphDrawingProps) {
  const [depth, setDepth] = useState(0);
  const [selected, setSelected] = useState<string | undefined>(undefined);
  const [{ data, error }] = useQuery({ query: READ_GRAPH, variables: { id: graphId, depth } });
  if (error && !data) return <ErrorNote error={error} />;
  if (!data) return <Loading />;
  const { graph } = data;
  if (!graph || graph.nodes.length === 0) return <NoNodes id={graphId} />;
  const { nodes, edges, mermaid, subgraphs } = graph;
  const levels = Math.max(0, ...subgraphs.map(({ namespace }) => namespace.split('|').length));
  const marks = marksOf(new Set(nodes.map(({ name }) => name)), paths);
  const node = nodes.find(({ name }) => name === selected);
  return (
    <div className={classes['drawing']}>
      <div className={classes['tools']}>
        {levels > 0 && (
          <label>
            Subgraphs{' '}
            <select value={depth} onChange={(event) => setDepth(Number(event.target.value))}>
              <option value={0}>closed</option>
              {Array.from({ length: levels }, (_, index) => (
                <option key={index} value={index + 1}>
                  {index === 0 ? '1 level open' : `${index + 1} levels open`}
                </option>
              ))}
            </select>
          </label>
        )}
        <span className={classes['mermaid']}>
          Mermaid <CopyButton text={mermaid} label="Copy the Mermaid source" />
        </span>
      </div>
      <section className={classes['canvas']} aria-label={`Drawing of ${graphId}`}>
        <Suspense fallback={<Loading />}>
          <GraphCanvas
            nodes={nodes}
            edges={edges}
            marks={marks}
            selected={selected}
            onSelect={setSelected}
          />
        </Suspense>
      </section>
      {node && <NodeFacts node={node} edges={edges} marks={marks} />}
      <NodeTable nodes={nodes} edges={edges} marks={marks} />
    </div>
  );
}

function NoNodes({ id }: { id: string }) {
  return (
    <Empty icon="graphs" title="This graph cannot be drawn">
      <p>
        <code>{id}</code> is no longer deployed, or the function that makes it failed for an empty
        configuration. Graphs are listed in <code>langgraph.json</code>.
      </p>
    </Empty>
  );
}

interface FactsProps {
  node: GraphNode;
  edges: readonly GraphEdge[];
  marks: Marks;
}

function NodeFacts({ node, edges, marks }: FactsProps) {
  const { name, metadata } = node;
  const words = wordsOf(name, marks);
  return (
    <section className={classes['facts']} aria-label={`Node ${name}`} aria-live="polite">
      <h3>{name}</h3>
      {words.length > 0 && <p>{words.join(', ')}</p>}
      <p>
        Comes from{' '}
        {names(edges.filter(({ target }) => target === name).map(({ source }) => source))}; goes to{' '}
        {names(edges.filter(({ source }) => source === name).map(targetOf))}.
      </p>
      {metadata && Object.keys(metadata).length > 0 && <pre tabIndex={0}>{showJson(metadata)}</pre>}
    </section>
  );
}

function NodeTable({
  nodes,
  edges,
  marks,
}: Pick<FactsProps, 'edges' | 'marks'> & { nodes: readonly GraphNode[] }) {
  return (
    <details className={classes['table']}>
      <summary>The same as a table</summary>
      <table className={list.table}>
        <thead>
          <tr>
            <th>Node</th>
            <th>Now</th>
            <th>Goes to</th>
          </tr>
        </thead>
        <tbody>
          {nodes.map(({ name }) => (
            <tr key={name}>
              <td>{name}</td>
              <td>{wordsOf(name, marks).join(', ')}</td>
              <td>{names(edges.filter(({ source }) => source === name).map(targetOf))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

function targetOf({ target, conditional, label }: GraphEdge): string {
  const condition = label ? ` (${label})` : ' (if so decided)';
  return conditional ? `${target}${condition}` : target;
}

function names(all: readonly string[]): string {
  return all.length > 0 ? all.join(', ') : 'no node';
}
