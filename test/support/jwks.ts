import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';

export const AUDIENCE = 'threadql';
export const ISSUER = 'https://issuer.example';

/** A pair of keys of an issuer. */
export interface IssuerKey {
  kid: string;
  privateKey: CryptoKey;
  publicKey: CryptoKey;
  jwk: JWK;
}

export async function createIssuerKey(kid: string, alg = 'RS256'): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg } };
}

/** The present time of tokens, in seconds. */
export function epoch(): number {
  return Math.floor(Date.now() / 1000);
}

/** A token that is valid for an hour. `claims` replace its claims; undefined removes one. */
export function signToken(
  { kid, privateKey, jwk }: IssuerKey,
  claims: Record<string, unknown> = {},
): Promise<string> {
  const all = { sub: 'ann', aud: AUDIENCE, iss: ISSUER, exp: epoch() + 3600, ...claims };
  return new SignJWT(all).setProtectedHeader({ alg: jwk.alg ?? 'RS256', kid }).sign(privateKey);
}

/** What the server of an issuer answers for its keys. */
export interface JwksServer extends AsyncDisposable {
  url: string;
  keys: IssuerKey[];
  /** Replaces the keys in the answer. */
  body: string | undefined;
  status: number;
  /** True: requests get no answer. */
  hangs: boolean;
  /** Requests so far. */
  requests: number;
}

/** Serves keys on a free port of this machine. */
export async function startJwksServer(keys: IssuerKey[]): Promise<JwksServer> {
  const server = createServer((_, response) => {
    state.requests += 1;
    if (state.hangs) return;
    response.writeHead(state.status, { 'content-type': 'application/json' });
    response.end(state.body ?? JSON.stringify({ keys: state.keys.map(({ jwk }) => jwk) }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const state: JwksServer = {
    url: `http://127.0.0.1:${port}/keys`,
    keys,
    body: undefined,
    status: 200,
    hangs: false,
    requests: 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return state;
}
