import { createHash } from 'node:crypto';
import type { OpenApi, Operation } from './openapi.ts';

type JsonObject = Record<string, unknown>;

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d4d4d8, #3f3f46); --soft: light-dark(#52525b, #a1a1aa); --accent: light-dark(#4338ca, #a5b4fc); }
* { box-sizing: border-box; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: light-dark(#18181b, #f4f4f5); background: light-dark(#fff, #18181b); }
h1 { margin: 0; } h2 { margin: 2rem 0 .5rem; } h3 { margin: 1rem 0 .25rem; font-size: 1rem; } p { margin: .25rem 0; }
a { color: var(--accent); } code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .5rem .75rem; }
summary { cursor: pointer; } summary b { display: inline-block; min-width: 4.5rem; color: var(--accent); } summary span { display: block; }
small, summary span { color: var(--soft); }
dl { margin: 0; display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .25rem 1rem; } dt, dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
`;

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': [
    `default-src 'none'`,
    `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
  ].join('; '),
};

/** The document as a page: plain HTML without scripts, with its own style. */
export function renderDocsPage(document: OpenApi): {
  html: string;
  headers: Record<string, string>;
} {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const tags = [...new Set(operations.flatMap(({ operation }) => operation.tags))];
  const sections = tags.map((tag) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(tag));
    return `<h2>${text(tag)}</h2>${own.map(renderOperation).join('')}`;
  });
  const shapes = Object.entries(document.components.schemas).map(
    ([name, schema]) =>
      `<details id="${text(name)}"><summary><code>${text(name)}</code></summary>${renderFields(schema)}</details>`,
  );
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(document.info.title)}: REST</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${text(document.info.title)}: REST</h1>
<p>${text(document.info.description)} For programs: <a href="openapi.json">openapi.json</a>.</p>
${sections.join('\n')}
<h2>Objects</h2>
${shapes.join('\n')}
</body>
</html>
`;
  return { html, headers: HEADERS };
}

interface Described {
  path: string;
  method: string;
  operation: Operation;
}

function renderOperation({ path, method, operation }: Described): string {
  const { summary, parameters, requestBody, responses } = operation;
  const access = operation['x-access'].join(', ') || 'none: the route is open';
  const answers = Object.entries(responses).map(([status, answer]) =>
    row(status, [text(String(answer['description'])), renderType(schemaIn(answer))]),
  );
  return `<details>
<summary><b>${text(method.toUpperCase())}</b><code>${text(path)}</code><span>${text(summary)}</span></summary>
<p><small>Access: ${text(access)}</small></p>
${parameters.length > 0 ? `<h3>Parameters</h3>${renderParameters(parameters)}` : ''}
${requestBody ? `<h3>Body</h3>${renderFields(schemaIn(requestBody))}` : ''}
<h3>Answers</h3><dl>${answers.join('')}</dl>
</details>`;
}

function renderParameters(parameters: JsonObject[]): string {
  const rows = parameters.map(({ name, in: place, required, schema }) =>
    row(String(name), [
      `in the ${text(String(place))}`,
      required ? 'required' : '',
      renderType(schema),
    ]),
  );
  return `<dl>${rows.join('')}</dl>`;
}

/** The fields of an object, or the type of any other value. */
function renderFields(schema: JsonObject | undefined): string {
  const { properties, required = [] } = schema ?? {};
  if (!properties) return `<p>${renderType(schema)}</p>`;
  const rows = Object.entries(properties).map(([name, field]) =>
    row(name, [(required as string[]).includes(name) ? 'required' : '', renderType(field)]),
  );
  return `<dl>${rows.join('')}</dl>`;
}

function row(name: string, parts: string[]): string {
  const shown = parts.filter((part) => part !== '');
  return `<dt><code>${text(name)}</code></dt><dd>${shown.join(', ')}</dd>`;
}

function schemaIn({ content }: JsonObject): JsonObject | undefined {
  const { 'application/json': json } = (content ?? {}) as Record<string, { schema: JsonObject }>;
  return json?.schema;
}

/** A type in a few words, such as `list of string`. */
function renderType(schema: unknown): string {
  if (typeof schema !== 'object' || schema === null) return '';
  const { $ref, type, items, anyOf, enum: values, default: value } = schema as JsonObject;
  if (typeof $ref === 'string') {
    const name = text($ref.split('/').at(-1) ?? '');
    return `<a href="#${name}">${name}</a>`;
  }
  if (Array.isArray(anyOf)) return anyOf.map(renderType).join(' or ');
  if (Array.isArray(values))
    return values.map((each) => `<code>${text(JSON.stringify(each))}</code>`).join(' or ');
  if (type === 'array') return `list of ${renderType(items) || 'any'}`;
  const types =
    typeof type === 'string' ? [type] : Array.isArray(type) ? type.map(String) : ['any'];
  const shown = text(types.join(' or '));
  return value === undefined
    ? shown
    : `${shown}, default <code>${text(JSON.stringify(value))}</code>`;
}

function text(value: string): string {
  const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return value.replaceAll(/[&<>"]/g, (character) => escapes[character] ?? character);
}
