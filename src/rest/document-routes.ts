import { renderDocsPage } from './docs-page.ts';
import { describeRoutes } from './openapi.ts';
import { json, route, type Route } from './route.ts';

/** The description of the routes, for programs and for people. */
export function documentRoutes(documented: readonly Route[]): Route[] {
  let described: ReturnType<typeof describeRoutes> | undefined;
  const describe = () => (described ??= describeRoutes([...documented, ...own]));
  let page: ReturnType<typeof renderDocsPage> | undefined;
  const own: Route[] = [
    route({
      method: 'GET',
      path: '/openapi.json',
      tag: 'System',
      summary: 'This interface as an OpenAPI document.',
      access: 'open',
      answers: { 200: 'The document.' },
      handle: () => json(describe()),
    }),
    route({
      method: 'GET',
      path: '/docs',
      tag: 'System',
      summary: 'This interface as a page.',
      access: 'open',
      answers: { 200: 'The page.' },
      handle() {
        const { html, headers } = (page ??= renderDocsPage(describe()));
        return new Response(html, { headers });
      },
    }),
  ];
  return own;
}
