import { z } from 'zod';
import type { AnswerDescription, Route } from './route.ts';

type JsonObject = Record<string, unknown>;

/** An operation of the document. */
export interface Operation {
  tags: string[];
  summary: string;
  operationId: string;
  parameters: JsonObject[];
  requestBody?: JsonObject;
  responses: Record<string, JsonObject>;
  security: object[];
  /** The actions that the route asks access control for. */
  'x-access': string[];
}

/** An OpenAPI 3.1 document. */
export interface OpenApi {
  openapi: string;
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, JsonObject>; securitySchemes: JsonObject };
}

const DESCRIPTION =
  "LangGraph's Agent Server interface. Every error has a JSON body with detail, message and code.";

const ErrorShape = z
  .object({ detail: z.string(), message: z.string(), code: z.string() })
  .meta({ id: 'Error' });

/** Describes the routes as an OpenAPI document. */
export function describeRoutes(routes: readonly Route[]): OpenApi {
  const schemas = new Map<string, JsonObject>();
  const paths: OpenApi['paths'] = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    Object.assign(paths[route.path] ?? {}, {
      [route.method.toLowerCase()]: describeRoute(route, schemas),
    });
  }
  return {
    openapi: '3.1.0',
    info: { title: 'threadql', version: '1', description: DESCRIPTION },
    paths,
    components: {
      schemas: Object.fromEntries(schemas),
      securitySchemes: {
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        bearer: { type: 'http', scheme: 'bearer' },
      },
    },
  };
}

function describeRoute(route: Route, schemas: Map<string, JsonObject>): Operation {
  const { method, tag, summary, path, query, body, access } = route;
  const schemaOf = (shape: z.ZodType, io: 'input' | 'output') => toSchema(shape, { io, schemas });
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  return {
    tags: [tag],
    summary,
    operationId: [method.toLowerCase(), ...(path.match(/\w+/g) ?? [])].join('_'),
    parameters: [
      ...names.map((name) => ({
        name,
        in: 'path',
        required: true,
        schema: { type: 'string' },
      })),
      ...(query ? queryParameters(schemaOf(query, 'input')) : []),
    ],
    ...(body && { requestBody: { content: jsonContent(schemaOf(body, 'input')) } }),
    responses: Object.fromEntries(
      Object.entries(answersOf(route)).map(([status, answer]) => [
        status,
        describeAnswer(Number(status), answer, (shape) => schemaOf(shape, 'output')),
      ]),
    ),
    security: access === 'open' ? [] : [{ apiKey: [] }, { bearer: [] }],
    'x-access': access === 'open' ? [] : [...access],
  };
}

/** The errors of every route with a login. */
const LOGIN_ERRORS: Route['answers'] = {
  401: 'The credentials are missing or wrong.',
  403: 'The client may not do this.',
  429: 'The client sends too many requests; retry-after has the seconds to wait.',
};
/** The errors of every route with a parameter or a body. */
const INPUT_ERRORS: Route['answers'] = {
  422: 'A part of the request is invalid; detail names it.',
};
const NONE: Route['answers'] = {};

function answersOf({ access, query, body, path, answers }: Route): Route['answers'] {
  const hasInput = query !== undefined || body !== undefined || path.includes('{');
  return {
    ...(access === 'open' ? NONE : LOGIN_ERRORS),
    ...(hasInput ? INPUT_ERRORS : NONE),
    ...answers,
  };
}

function describeAnswer(
  status: number,
  answer: AnswerDescription,
  schemaOf: (shape: z.ZodType) => JsonObject,
): JsonObject {
  if (typeof answer !== 'string') {
    return {
      description: status < 400 ? 'Success.' : 'Failure.',
      content: jsonContent(schemaOf(answer)),
    };
  }
  if (status < 400) return { description: answer };
  return { description: answer, content: jsonContent(schemaOf(ErrorShape)) };
}

function jsonContent(schema: JsonObject): JsonObject {
  return { 'application/json': { schema } };
}

function queryParameters({ properties = {}, required = [] }: JsonObject): JsonObject[] {
  return Object.entries(properties as JsonObject).map(([name, schema]) => ({
    name,
    in: 'query',
    required: (required as string[]).includes(name),
    schema,
  }));
}

const COMPONENTS = '#/components/schemas/';

/** The JSON Schema of a shape. Shapes with an id go to `schemas`, and references take their place. */
function toSchema(
  shape: z.ZodType,
  { io, schemas }: { io: 'input' | 'output'; schemas: Map<string, JsonObject> },
): JsonObject {
  const json = JSON.stringify(z.toJSONSchema(shape, { io, unrepresentable: 'any' }));
  const {
    $schema: _,
    $defs: definitions = {},
    ...schema
  } = JSON.parse(json.replaceAll('"#/$defs/', `"${COMPONENTS}`)) as JsonObject;
  for (const [id, { id: __, ...definition }] of Object.entries(
    definitions as Record<string, JsonObject>,
  )) {
    schemas.set(id, definition);
  }
  const { id, ...own } = schema;
  if (typeof id !== 'string') return own;
  schemas.set(id, own);
  return { $ref: COMPONENTS + id };
}
