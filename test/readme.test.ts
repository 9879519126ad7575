import { readFileSync } from 'node:fs';
import path from 'node:path';
import { getOperationAST, parse, validate } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../src/config.ts';
import { schema } from '../src/schema/index.ts';
import { createTestApp, type TestApp } from './support/app.ts';

const ROOT = path.join(import.meta.dirname, '..');
const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');

/** The code blocks of a language, in the order of the page. */
function blocks(language: string): string[] {
  return Array.from(
    README.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs')),
    ([, code]) => code ?? '',
  );
}

/** The documents that the page sends with curl. */
const curls = blocks('sh').flatMap((code) =>
  Array.from(
    code.matchAll(/-d '(\{.*?\})'$/gms),
    ([, body]) => JSON.parse(body ?? '').query as string,
  ),
);

function kindOf(document: string): string | undefined {
  return getOperationAST(parse(document))?.operation;
}

/** A document with variables stands after the one whose answer has their values, under the same names. */
function variablesOf(document: string, answer: unknown): Record<string, unknown> {
  const names = (getOperationAST(parse(document))?.variableDefinitions ?? []).map(
    ({ variable }) => variable.name.value,
  );
  const text = JSON.stringify(answer);
  return Object.fromEntries(
    names.map((name) => [name, new RegExp(`"${name}":"([^"]+)"`).exec(text)?.[1]]),
  );
}

describe('The README', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await createTestApp({ graphsFile: path.join(ROOT, 'langgraph.json') });
  });
  afterAll(() => server.stop());

  it('holds a conversation by hand, and shows every operation by example', () => {
    expect(curls.length).toBeGreaterThanOrEqual(4);
    expect(blocks('graphql').length).toBeGreaterThanOrEqual(7);
  });

  it.each([...curls, ...blocks('graphql')])(
    'has an example that the schema takes: %s',
    (document) => {
      expect(validate(schema, parse(document))).toEqual([]);
    },
  );

  it('has examples that run as they stand, in the order of the page', async () => {
    let answer: unknown;
    for (const document of [...curls, ...blocks('graphql')]) {
      if (kindOf(document) === 'subscription') continue;
      answer = await server.gql(document, variablesOf(document, answer));
    }
  });

  it('edits an earlier message, and has it answered anew', async () => {
    const id = '01900000-0000-7000-8000-00000000000a';
    const { thread } = await server.gql(`{ thread(id: "${id}") { messages { type text } } }`);
    expect(thread.messages).toEqual([
      { type: 'HUMAN', text: 'who made you, and when?' },
      { type: 'AI', text: expect.any(String) },
    ]);
  });

  it('says that the second agent knows what was said to the first', async () => {
    const answers = [];
    for (const document of curls) {
      if (document.includes('createRun')) answers.push(await server.gql(document));
    }
    expect(JSON.stringify(answers.at(-1))).toContain('who made you?');
  });

  it('names every environment variable that the server reads', () => {
    const read: string[] = [];
    readConfig(new Proxy({}, { get: (_env, name) => void read.push(String(name)) }));
    expect(read.filter((name) => !README.includes(`\`${name}\``))).toEqual([]);
  });

  it('shows every operation once', () => {
    const operations = ['Query', 'Mutation', 'Subscription'].flatMap((type) => {
      const object = schema.getType(type);
      return object && 'getFields' in object ? Object.keys(object.getFields()) : [];
    });
    expect(operations.filter((name) => !new RegExp(`\\b${name}\\b`).test(README))).toEqual([]);
  });
});
