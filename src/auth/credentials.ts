import { AppError } from '../errors.ts';
import type { Authenticator, LoginRequest } from './authenticate.ts';
import { rightsKey, type Viewer } from './viewer.ts';

/** A revoked key ends its open connections within this time, and the time for which a login may be remembered. */
const RECHECK_MS = 25_000;

interface Watched {
  auth: Authenticator;
  headers: Headers;
  request?: Omit<LoginRequest, 'headers'> | undefined;
  viewer: Viewer;
}

/**
 * Calls `onEnd` once when the credentials of an open connection expire, are revoked or give other rights. Returns a function that
 * ends the watch.
 */
export function watchCredentials(watched: Watched, onEnd: () => void): () => void {
  const { viewer } = watched;
  if (viewer.kind === 'anonymous') return () => {};
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;

  async function check(): Promise<void> {
    const isValid = await areValid(watched);
    if (isOver) return;
    if (isValid) return wait();
    isOver = true;
    onEnd();
  }

  function wait(): void {
    const left = (viewer.expiresAt?.getTime() ?? Infinity) - Date.now();
    timer = setTimeout(() => void check(), Math.max(0, Math.min(left, RECHECK_MS)));
    timer.unref();
  }

  wait();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

/** An error of the server is no reason to end a connection. */
async function areValid({ auth, headers, request, viewer }: Watched): Promise<boolean> {
  if (viewer.expiresAt && viewer.expiresAt.getTime() <= Date.now()) return false;
  try {
    return rightsKey(await auth.authenticate(headers, request)) === rightsKey(viewer);
  } catch (error) {
    return !(error instanceof AppError && ['UNAUTHENTICATED', 'FORBIDDEN'].includes(error.code));
  }
}
