import { watchCredentials } from '../auth/credentials.ts';
import type { Call } from './route.ts';

/** What a client gets when its credentials end during a stream or a wait. */
export const EXPIRED = {
  error: 'UnauthenticatedError',
  message: 'The credentials have expired.',
} as const;

/** Calls `onEnd` once when the credentials of the request end. Returns a function that ends the watch. */
export function watchCall(
  { app: { auth, viewer }, headers, request }: Pick<Call, 'app' | 'headers' | 'request'>,
  onEnd: () => void,
): () => void {
  return watchCredentials({ auth, headers, request, viewer }, onEnd);
}
