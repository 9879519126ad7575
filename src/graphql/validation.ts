import {
  buildASTSchema,
  Kind,
  NoFragmentCyclesRule,
  OverlappingFieldsCanBeMergedRule,
  parse,
  printSchema,
  validate,
  visit,
  type ASTVisitor,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type SelectionSetNode,
  type ValidationRule,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Config } from '../config.ts';
import { LimitError } from '../errors.ts';

/**
 * Validates documents within a bounded time: a document with too many fields to compare is refused first. Fields of the
 * types JSON, JSONObject and JSONObject! may share a name, because clients receive the same JSON for all three.
 */
export function useValidation({
  selectionLimit,
  introspection,
}: Pick<Config, 'selectionLimit' | 'introspection'>): Plugin {
  const options = { maxErrors: MOST_ERRORS, hideSuggestions: !introspection };
  return {
    onValidate({ setValidationFn }) {
      setValidationFn((schema, document, rules: readonly ValidationRule[]) => {
        const cycles = validate(schema, document, [NoFragmentCyclesRule], options);
        if (cycles.length > 0) return cycles;
        checkSelections(document, selectionLimit);
        const others = rules.filter((rule) => !isMerging(rule));
        const errors = validate(schema, document, others, options);
        if (errors.length > 0) return errors;
        return validate(mergeable(schema), document, rules.filter(isMerging), options);
      });
    },
  };
}

/** Every error contains line numbers, and computing a number takes time. */
const MOST_ERRORS = 10;

/** By name: graphql can be loaded twice. */
function isMerging({ name }: ValidationRule): boolean {
  return name === OverlappingFieldsCanBeMergedRule.name;
}

const variants = new WeakMap<GraphQLSchema, GraphQLSchema>();

/** The schema for the rule about merging fields: every JSON field has the nullable type JSON. */
function mergeable(schema: GraphQLSchema): GraphQLSchema {
  const known = variants.get(schema);
  if (known) return known;
  const variant = buildASTSchema(visit(parse(printSchema(schema)), jsonIsJson), {
    assumeValid: true,
  });
  variants.set(schema, variant);
  return variant;
}

const jsonIsJson: ASTVisitor = {
  FieldDefinition(field) {
    const type = field.type.kind === Kind.NON_NULL_TYPE ? field.type.type : field.type;
    const isJson =
      type.kind === Kind.NAMED_TYPE && ['JSON', 'JSONObject'].includes(type.name.value);
    if (!isJson) return undefined;
    return { ...field, type: { ...type, name: { ...type.name, value: 'JSON' } } };
  },
};

/** The fields of one response name. An answer merges them into one. */
interface Group {
  fields: number;
  selections: SelectionSetNode[];
}

/**
 * Counts the comparisons of the rule about merging fields: each field at every spread of its fragment, and each pair of fields
 * with the same response name. Throws a LimitError at the limit. Fragments must not spread themselves.
 */
function checkSelections({ definitions }: DocumentNode, limit: number): void {
  const fragments = new Map(
    definitions
      .filter((each): each is FragmentDefinitionNode => each.kind === Kind.FRAGMENT_DEFINITION)
      .map((fragment) => [fragment.name.value, fragment]),
  );
  const counter: Counter = { fragments, counted: 0, limit };
  for (const definition of definitions) {
    if ('selectionSet' in definition && definition.selectionSet) {
      countSets(counter, [definition.selectionSet]);
    }
  }
}

interface Counter {
  fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  counted: number;
  limit: number;
}

/** Counts selection sets merged by the rule, with all sets below them. */
function countSets(counter: Counter, sets: readonly SelectionSetNode[]): void {
  const merged: Merged = { groups: new Map(), spread: new Set() };
  for (const set of sets) collect(counter, set, merged);
  for (const { selections } of merged.groups.values()) {
    if (selections.length > 0) countSets(counter, selections);
  }
}

/** The fields of merged selection sets, and the names of their fragments. */
interface Merged {
  groups: Map<string, Group>;
  spread: Set<string>;
}

function collect(counter: Counter, { selections }: SelectionSetNode, merged: Merged): void {
  for (const selection of selections) {
    if (selection.kind === Kind.FIELD) addField(counter, selection, merged);
    else if (selection.kind === Kind.INLINE_FRAGMENT) {
      count(counter, 1);
      collect(counter, selection.selectionSet, merged);
    } else {
      const { value: name } = selection.name;
      const fragment = merged.spread.has(name) ? undefined : counter.fragments.get(name);
      count(counter, 1);
      merged.spread.add(name);
      if (fragment) collect(counter, fragment.selectionSet, merged);
    }
  }
}

function addField(
  counter: Counter,
  { alias, name, selectionSet }: FieldNode,
  { groups }: Merged,
): void {
  const key = (alias ?? name).value;
  const group = groups.get(key) ?? { fields: 0, selections: [] };
  // The rule compares the field with each earlier field of the group.
  count(counter, 1 + group.fields);
  group.fields += 1;
  if (selectionSet) group.selections.push(selectionSet);
  groups.set(key, group);
}

function count(counter: Counter, steps: number): void {
  counter.counted += steps;
  if (counter.counted > counter.limit) {
    throw new LimitError(`Selection limit of ${counter.limit} exceeded.`, 'SELECTION_LIMIT');
  }
}
