import { describe, expect, it } from 'vitest';
import { layoutGraph } from '../src/studio/screens/graphs/layout.ts';
import { afterEvent, marksOf, NOTHING_RUNS } from '../src/studio/screens/graphs/marks.ts';
import { schemaFields } from '../src/studio/screens/graphs/schema-fields.ts';

describe('The table of a schema', () => {
  it('has each field with its type, default and description, nested ones below their field', () => {
    const fields = schemaFields({
      type: 'object',
      required: ['topic'],
      properties: {
        topic: { type: 'string', description: 'What to search.' },
        limit: { type: ['integer', 'null'], default: 3 },
        mode: { enum: ['fast', 'deep'] },
        messages: { langgraph_type: 'messages' },
        sources: { type: 'array', items: { $ref: '#/$defs/Source' } },
      },
      $defs: {
        Source: { type: 'object', required: ['url'], properties: { url: { type: 'string' } } },
      },
    });
    expect(
      fields.map(({ path, type, isRequired, fallback }) => [path, type, isRequired, fallback]),
    ).toEqual([
      ['topic', 'string', true, undefined],
      ['limit', 'integer or null', false, '3'],
      ['mode', '"fast" or "deep"', false, undefined],
      ['messages', 'messages', false, undefined],
      ['sources', 'list of object', false, undefined],
      ['sources[].url', 'string', true, undefined],
    ]);
    expect(fields[0]?.description).toBe('What to search.');
    expect(fields.at(-1)?.depth).toBe(1);
  });

  it('ends at a schema that contains itself', () => {
    const tree = {
      $ref: '#/$defs/Tree',
      $defs: { Tree: { type: 'object', properties: { left: { $ref: '#/$defs/Tree' } } } },
    };
    expect(schemaFields(tree)).toMatchObject([{ path: 'left', type: 'Tree' }]);
  });
});

describe('The marks of a drawing', () => {
  const task = (id: string, name: string, namespace: string[], more = {}) => ({
    __typename: 'TasksEvent',
    namespace,
    task: { id, name, ...more },
  });

  it('count the running tasks of a node, and put those of a closed subgraph on its node', () => {
    const running = [
      task('1', 'search', []),
      task('2', 'search', []),
      task('3', 'search', [], { result: {} }),
      task('4', 'draft', ['writer:9']),
    ].reduce(afterEvent, NOTHING_RUNS);
    const marks = (names: string[]) =>
      marksOf(new Set(names), { running: running.tasks.values(), ran: [], next: [] }).running;
    expect(marks(['search', 'writer'])).toEqual(
      new Map([
        ['search', 2],
        ['writer', 1],
      ]),
    );
    expect(marks(['search', 'writer:draft']).get('writer:draft')).toBe(1);
    const end = { __typename: 'RunFinishedEvent', namespace: [] };
    expect(afterEvent(running, end).tasks.size).toBe(0);
  });

  it('follow messages and updates if a run records no tasks', () => {
    const message = {
      __typename: 'MessagesEvent',
      namespace: [],
      metadata: { langgraph_node: 'model' },
    };
    const talking = afterEvent(NOTHING_RUNS, message);
    expect([...talking.tasks.values()]).toEqual(['model']);
    const update = { __typename: 'UpdatesEvent', namespace: [], node: 'model' };
    expect(afterEvent(talking, update).tasks.size).toBe(0);
  });
});

describe('The layout of a graph', () => {
  it('puts 200 nodes beside and below each other, never over each other', () => {
    const nodes = Array.from({ length: 200 }, (_, index) => ({ name: `node${index}` }));
    const edges = nodes.slice(1).map(({ name }, index) => ({
      source: `node${Math.floor(index / 2)}`,
      target: name,
    }));
    const boxes = [...layoutGraph(nodes, edges).values()];
    for (const [index, one] of boxes.entries()) {
      for (const other of boxes.slice(index + 1)) {
        const isApart =
          one.x + one.width <= other.x ||
          other.x + other.width <= one.x ||
          one.y + one.height <= other.y ||
          other.y + other.height <= one.y;
        expect(isApart).toBe(true);
      }
    }
  });
});
