import { createValue } from './store.ts';

/** How a person signs in. */
export interface Credential {
  kind: 'key' | 'token';
  value: string;
}

interface Session {
  credential: Credential | undefined;
  /** The server wants another credential: the first one, or a new one after its expiry. */
  isRefused: boolean;
}

const STORED = 'threadql.credential';

/** The credential of the person at this page. */
export const session = createValue<Session>({
  credential: stored(),
  isRefused: false,
});

/** Uses a credential from now on. It is kept for the tab, or with `remember` in the browser. */
export function signIn(credential: Credential, { remember }: { remember: boolean }): void {
  forget();
  (remember ? localStorage : sessionStorage).setItem(STORED, JSON.stringify(credential));
  renew(credential);
}

export function signOut(): void {
  forget();
  renew(undefined);
}

/** The server refused the credential. The page asks for another one, and typed text stays. */
export function refuseSession(): void {
  session.set({ ...session.get(), isRefused: true });
}

/** The headers of a request, and the parameters of a WebSocket. */
export function credentialHeaders(credential: Credential | undefined): Record<string, string> {
  if (!credential) return {};
  return credential.kind === 'key'
    ? { 'x-api-key': credential.value }
    : { authorization: `Bearer ${credential.value}` };
}

function renew(credential: Credential | undefined): void {
  session.set({ credential, isRefused: false });
}

function forget(): void {
  for (const storage of [sessionStorage, localStorage]) storage.removeItem(STORED);
}

function stored(): Credential | undefined {
  const text = sessionStorage.getItem(STORED) ?? localStorage.getItem(STORED);
  return text ? (JSON.parse(text) as Credential) : undefined;
}
