import { UnauthenticatedError } from '../errors.ts';
import { ANONYMOUS, type Viewer } from './viewer.ts';

/** The credentials of a request: HTTP headers, or for a WebSocket the headers of its upgrade with `connectionParams` on top. */
export interface Credentials {
  /** Header `x-api-key`. */
  apiKey: string | undefined;
  /** Header `authorization: Bearer …`. */
  token: string | undefined;
}

/** Finds the viewer of a request. Throws UnauthenticatedError; its message never contains the credentials. */
export interface Authenticator {
  authenticate(headers: Headers, request?: Omit<LoginRequest, 'headers'>): Promise<Viewer>;
}

/** A request for a login that reads more than credentials. A WebSocket has no request of its own for each operation. */
export interface LoginRequest {
  headers: Headers;
  method?: string | undefined;
  url?: string | undefined;
}

/** A way to log in. Undefined: it does not know such credentials. Throws UnauthenticatedError for bad ones. */
export type Login = (credentials: Credentials) => Promise<Viewer | undefined>;

/** The login of a project. */
export interface CustomLogin {
  logIn(request: LoginRequest): Promise<Viewer>;
  /** The viewer of another login, whose actions the handlers of the project decide too. */
  decideFor(viewer: Viewer): Viewer;
}

/**
 * Without a login, every client is the anonymous viewer. `custom` logs in each request without credentials for the other logins,
 * and may read any header.
 */
export function createAuthenticator(logins: readonly Login[], custom?: CustomLogin): Authenticator {
  async function findKnown(credentials: Credentials): Promise<Viewer | undefined> {
    for (const login of logins) {
      const viewer = await login(credentials);
      if (viewer) return viewer;
    }
    return undefined;
  }

  return {
    async authenticate(headers, request) {
      if (custom) {
        const credentials = logins.length > 0 ? credentialsIn(headers) : undefined;
        const known = credentials && (await findKnown(credentials));
        if (known) return custom.decideFor(known);
        return custom.logIn({ headers, method: request?.method, url: request?.url });
      }
      if (logins.length === 0) return ANONYMOUS;
      const known = await findKnown(readCredentials(headers));
      if (known) return known;
      throw new UnauthenticatedError(
        'The request has no valid credentials: send an API key in the header x-api-key, or a token in authorization: Bearer.',
      );
    },
  };
}

/** `readCredentials`; undefined for headers that only the login of the project understands. */
function credentialsIn(headers: Headers): Credentials | undefined {
  try {
    return readCredentials(headers);
  } catch {
    return undefined;
  }
}

/** Reads the headers. Throws UnauthenticatedError for two credentials, and for an authorization of another scheme. */
function readCredentials(headers: Headers): Credentials {
  const apiKey = headers.get('x-api-key') ?? undefined;
  const authorization = headers.get('authorization') ?? undefined;
  const [, token] = /^Bearer +([^\s,]+)$/i.exec(authorization ?? '') ?? [];
  if (authorization !== undefined && token === undefined) {
    throw new UnauthenticatedError('The header authorization must be "Bearer" and one token.');
  }
  if (apiKey !== undefined && token !== undefined) {
    throw new UnauthenticatedError('Send x-api-key or authorization, not both.');
  }
  return { apiKey, token };
}
