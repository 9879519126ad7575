import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newDraft, readDraft, switchMode } from '../src/studio/ui/forms/draft.ts';
import { labelOf } from '../src/studio/ui/forms/labels.ts';
import { problemsOf } from '../src/studio/ui/forms/problems.ts';
import { shapeOf, type JsonSchema } from '../src/studio/ui/forms/shape.ts';
import { canShow, countFields } from '../src/studio/ui/forms/size.ts';
import { initialValue, optionAt } from '../src/studio/ui/forms/values.ts';
import { changesBetween } from '../src/studio/screens/assistants/difference.ts';
import { firstLine, partsOf } from '../src/studio/screens/thread/questions/question.ts';

function schemaOf(type: z.ZodType): JsonSchema {
  return z.toJSONSchema(type) as JsonSchema;
}

function kindOf(schema: JsonSchema): string {
  return shapeOf(schema, schema).kind;
}

const Name = fc.constantFrom('a', 'b', 'c');

/** Types as graphs have them, up to three levels deep. */
const { type: Type } = fc.letrec<{ type: z.ZodType }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom<z.ZodType>(
      z.string(),
      z.string().min(2),
      z.number().max(5),
      z.int(),
      z.boolean(),
      z.enum(['x', 'y']),
      z.literal(1),
      z.string().nullable(),
    ),
    tie('type').map((item) => z.array(item).max(2)),
    tie('type').map((item) => z.record(z.string(), item)),
    tie('type').map((item) => item.nullable()),
    fc
      .dictionary(Name, fc.tuple(tie('type'), fc.boolean()), { maxKeys: 3 })
      .map((shape) =>
        z.strictObject(
          Object.fromEntries(
            Object.entries(shape).map(([key, [each, isOptional]]) => [
              key,
              isOptional ? each.optional() : each,
            ]),
          ),
        ),
      ),
  ),
}));

/** Values near those that the types allow. */
const { value: Value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom<unknown>('', 'x', 'long', 0, 1, 7, 1.5, true, null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(Name, tie('value'), { maxKeys: 3 }),
  ),
}));

describe('The form for a schema', () => {
  it('finds a problem exactly where zod refuses the value', () => {
    fc.assert(
      fc.property(Type, Value, (type, value) => {
        const problems = problemsOf(schemaOf(type), value);
        expect(problems.length === 0).toBe(type.safeParse(value).success);
      }),
      { numRuns: 500 },
    );
  });

  it('begins with a value whose problems are missing entries only', () => {
    fc.assert(
      fc.property(Type, (type) => {
        const schema = schemaOf(type);
        for (const { message } of problemsOf(schema, initialValue(schema, schema))) {
          expect(message).toBe('A value is required.');
        }
      }),
    );
  });

  it('keeps the entry when a person goes to JSON and back, and does not leave a text that is no JSON', () => {
    fc.assert(
      fc.property(Value, (value) => {
        const draft = { mode: 'form' as const, value, text: '' };
        const back = switchMode(switchMode(draft, 'json'), 'form');
        expect(readDraft(back)).toEqual({ value });
      }),
    );
    const broken = { mode: 'json' as const, value: { a: 1 }, text: '{"a": ' };
    expect(switchMode(broken, 'form')).toEqual(broken);
  });

  it('sees null, references, joined schemas and several types as one kind of field', () => {
    expect(shapeOf({ anyOf: [{ type: 'string' }, { type: 'null' }] }, {})).toMatchObject({
      kind: 'text',
      isNullable: true,
    });
    const root = { $ref: '#/$defs/a~1b', $defs: { 'a/b': { type: 'boolean' } } };
    expect(kindOf(root)).toBe('boolean');
    const both = { allOf: [{ properties: { a: {} }, required: ['a'] }, { properties: { b: {} } }] };
    expect(shapeOf(both, both)).toMatchObject({
      kind: 'object',
      properties: [
        { name: 'a', isRequired: true },
        { name: 'b', isRequired: false },
      ],
    });
    expect(kindOf({ type: ['string', 'number'] })).toBe('union');
    expect(kindOf(schemaOf(z.tuple([z.string(), z.number()])))).toBe('tuple');
    expect(kindOf(schemaOf(z.record(z.string(), z.number())))).toBe('record');
  });

  it('selects the option of a union by its fixed value, also while fields are missing', () => {
    const type = z.discriminatedUnion('by', [
      z.object({ by: z.literal('card'), number: z.string() }),
      z.object({ by: z.literal('invoice'), address: z.string() }),
    ]);
    const schema = schemaOf(type);
    const shape = shapeOf(schema, schema);
    const optionOf = (value: unknown) =>
      optionAt(shape as typeof shape & { kind: 'union' }, value, schema);
    expect(shape.kind).toBe('union');
    expect(optionOf({ by: 'invoice' })).toBe(1);
    expect(optionOf({ by: 'card', number: undefined })).toBe(0);
  });

  it('is JSON for a schema without fields, with too many fields, or with a broken reference', () => {
    const wide = (count: number) =>
      schemaOf(
        z.object(
          Object.fromEntries(Array.from({ length: count }, (_, at) => [`f${at}`, z.string()])),
        ),
      );
    expect(canShow(wide(199))).toBe(true);
    expect(canShow(wide(200))).toBe(false);
    expect(canShow({})).toBe(false);
    expect(canShow({ $ref: '#/$defs/missing' })).toBe(false);
    expect(newDraft(wide(200)).mode).toBe('json');
  });

  it('counts a schema inside of itself once, and ends', () => {
    const Tree = z.object({
      name: z.string(),
      get children() {
        return z.array(Tree);
      },
    });
    expect(countFields(schemaOf(Tree))).toBeLessThan(10);
    expect(
      problemsOf(schemaOf(Tree), { name: 'a', children: [{ name: 1, children: [] }] }),
    ).toEqual([
      { path: '/children/0/name', field: 'Children, 1, Name', message: 'Must be a string.' },
    ]);
  });

  it('names a field by its title, or by its key in words', () => {
    expect(labelOf('replyTo', { title: undefined })).toBe('Reply to');
    expect(labelOf('max_retries', { title: undefined })).toBe('Max retries');
    expect(labelOf('x', { title: 'The title' })).toBe('The title');
  });
});

describe('A question', () => {
  it('is shown by its text, its calls of tools and its other fields', () => {
    const call = { id: '1', name: 'send_email', args: { to: 'ada' } };
    expect(partsOf({ question: 'Send it?\nNow?', toolCall: call, urgent: true })).toEqual({
      text: 'Send it?\nNow?',
      calls: [{ name: 'send_email', args: { to: 'ada' } }],
      fields: [['urgent', true]],
    });
    expect(firstLine({ question: 'Send it?\nNow?' })).toBe('Send it?');
    expect(firstLine([{ action_request: { action: 'delete', args: {} } }])).toBe('Call delete?');
    expect(firstLine(['a', 1])).toBe('["a",1]');
    expect(firstLine(null)).toBe('null');
  });
});

describe('The difference of two versions', () => {
  it('has the values that differ, by their keys', () => {
    expect(changesBetween({ a: { b: 1, c: [1] }, d: 1 }, { a: { b: 2, c: [1] }, e: null })).toEqual(
      [
        { path: 'a.b', before: 1, after: 2 },
        { path: 'd', before: 1, after: undefined },
        { path: 'e', before: undefined, after: null },
      ],
    );
    fc.assert(
      fc.property(fc.dictionary(Name, Value), (object) => {
        expect(changesBetween(object, structuredClone(object))).toEqual([]);
      }),
    );
  });
});
