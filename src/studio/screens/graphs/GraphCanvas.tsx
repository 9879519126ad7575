import '@xyflow/react/dist/base.css';
import {
  Handle,
  MarkerType,
  Panel,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
  type Edge,
  type Node,
  type NodeProps,
} from '@xyflow/react';
import { useEffect, useMemo } from 'react';
import { IconButton } from '../../ui/Button.tsx';
import { Icon } from '../../ui/Icon.tsx';
import type { GraphEdge, GraphNode } from './documents.ts';
import classes from './Graph.module.css';
import { labelOf, layoutGraph } from './layout.ts';
import { wordsOf, type Marks } from './marks.ts';

export interface GraphCanvasProps {
  nodes: readonly GraphNode[];
  edges: readonly GraphEdge[];
  marks: Marks;
  selected: string | undefined;
  onSelect: (name: string) => void;
}

type DrawnNode = Node<{
  name: string;
  marks: Marks;
  isSelected: boolean;
  onSelect: (name: string) => void;
}>;

const NODE_TYPES = { graph: NodeBox };

/** The drawing of a graph. It can be moved and zoomed, not changed. */
// oxlint-disable-next-line import/no-default-export -- `lazy` of React takes the default export
export default function GraphCanvas({ nodes, edges, marks, selected, onSelect }: GraphCanvasProps) {
  const boxes = useMemo(() => layoutGraph(nodes, edges), [nodes, edges]);
  const drawn = nodes.map(({ name }): DrawnNode => {
    const { x = 0, y = 0, width = 0, height = 0 } = boxes.get(name) ?? {};
    return {
      id: name,
      type: 'graph',
      position: { x, y },
      width,
      height,
      data: { name, marks, isSelected: name === selected, onSelect },
    };
  });
  const lines = useMemo(() => edges.map(lineOf), [edges]);
  return (
    <ReactFlowProvider>
      <ReactFlow
        nodes={drawn}
        edges={lines}
        nodeTypes={NODE_TYPES}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        minZoom={0.1}
        fitView
        proOptions={{ hideAttribution: true }}
      >
        <Tools layout={boxes} />
      </ReactFlow>
    </ReactFlowProvider>
  );
}

function lineOf({ source, target, conditional, label }: GraphEdge, index: number): Edge {
  return {
    id: `${index} ${source} ${target}`,
    source,
    target,
    label: label ?? undefined,
    className: conditional ? classes['conditional'] : classes['edge'],
    markerEnd: { type: MarkerType.ArrowClosed, width: 16, height: 16 },
  };
}

/** A node is a button: its facts are below the drawing. */
function NodeBox({ data }: NodeProps<DrawnNode>) {
  const { name, marks, isSelected, onSelect } = data;
  const words = wordsOf(name, marks);
  const count = marks.running.get(name) ?? 0;
  return (
    <>
      <Handle type="target" position={Position.Top} isConnectable={false} />
      <button
        type="button"
        className={`nodrag ${classes['node']}`}
        aria-label={[name, ...words].join(', ')}
        aria-pressed={isSelected}
        title={name}
        data-node={name}
        data-running={count > 0}
        data-ran={marks.ran.has(name)}
        data-next={marks.next.has(name)}
        onClick={() => onSelect(name)}
      >
        {count > 0 && <Icon name="spinner" size={13} />}
        {count === 0 && marks.ran.has(name) && <Icon name="check" size={13} />}
        {labelOf(name)}
        {count > 1 && <span className={classes['count']}>× {count}</span>}
      </button>
      <Handle type="source" position={Position.Bottom} isConnectable={false} />
    </>
  );
}

function Tools({ layout }: { layout: unknown }) {
  const { zoomIn, zoomOut, fitView } = useReactFlow();
  useEffect(() => {
    void fitView();
  }, [fitView, layout]);
  return (
    <Panel position="top-right">
      <IconButton icon="plus" label="Zoom in" isSmall onClick={() => void zoomIn()} />
      <IconButton icon="minus" label="Zoom out" isSmall onClick={() => void zoomOut()} />
      <IconButton icon="expand" label="Fit the graph" isSmall onClick={() => void fitView()} />
    </Panel>
  );
}
