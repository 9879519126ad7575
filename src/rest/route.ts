import type { z } from 'zod';
import type { ClientApp } from '../app.ts';
import type { Action } from '../auth/authorize.ts';
import { LARGEST_COUNT } from '../db/page.ts';

/** The names in a path such as `/threads/{thread_id}`. */
type Names<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;

/** A request after its login and the check of its parts. */
export interface Call<Path extends string = string, Query = unknown, Body = unknown> {
  app: ClientApp;
  params: Record<Names<Path>, string>;
  query: Query;
  body: Body;
  headers: Headers;
  /** As the client sent it; its body is in `body`. */
  request: Request;
  /** Aborted when the client leaves. */
  signal: AbortSignal;
}

/** A description of an answer for the OpenAPI document. */
export type AnswerDescription = z.ZodType | string;

export interface RouteSpec<Path extends string, Query, Body> {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** OpenAPI's form, such as `/threads/{thread_id}`. */
  path: Path;
  tag: string;
  summary: string;
  /** The actions that the route asks access control for. `open`: the route needs no login and shows nothing of a viewer. */
  access: readonly Action[] | 'open';
  /** Absent: the route reads no query. */
  query?: z.ZodType<Query>;
  /** Absent: the route reads no body. */
  body?: z.ZodType<Body>;
  /** By status. */
  answers: Record<number, AnswerDescription>;
  /** True for a route that changes something: it then runs to its end, also if the client leaves. */
  changes?: boolean;
  handle(call: Call<Path, Query, Body>): Promise<Response> | Response;
}

/** A route with any path, query and body. */
export interface Route extends Omit<RouteSpec<string, unknown, unknown>, 'handle'> {
  handle(call: Call): Promise<Response> | Response;
}

/** A route with checked types. */
export function route<Path extends string, Query, Body>(spec: RouteSpec<Path, Query, Body>): Route {
  return { ...spec, handle: (call) => spec.handle(call as Call<Path, Query, Body>) };
}

/** An answer with a JSON body. */
export function json(value: unknown, headers?: Record<string, string>): Response {
  return Response.json(value, headers && { headers });
}

export function noContent(): Response {
  return new Response(null, { status: 204 });
}

/**
 * The headers of a list, as both SDKs read them: the next page, absent on the last one, and the number of elements on all pages,
 * absent if it is unknown. `total` is exact up to LARGEST_COUNT.
 */
export function pageHeaders(
  { limit, offset }: { limit: number; offset: number },
  { count, total = Infinity }: { count: number; total?: number | undefined },
): Record<string, string> {
  const isKnown = total <= LARGEST_COUNT;
  const isLast = isKnown ? offset + count >= total : count < limit;
  return {
    ...(isKnown && { 'x-pagination-total': String(total) }),
    ...(!isLast && { 'x-pagination-next': String(offset + count) }),
  };
}
