/** The URL of the studio's folder: its files are in `assets/` below it, and a proxy may add a path before it. */
const studio = import.meta.env.DEV ? new URL('/', location.href) : new URL('../', import.meta.url);

/** The path before each screen, such as /studio. */
export const BASE_PATH = studio.pathname.replace(/\/$/, '') || '/';

/** The GraphQL API. */
export const API_URL = new URL(import.meta.env.DEV ? 'graphql' : '../graphql', studio).href;
