import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose';
import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../log.ts';

const FETCH_MS = 5000;
const FRESH_MS = 600_000;
/** An unknown key id makes the server fetch the keys again, but not more often. */
const COOLDOWN_MS = 10_000;
const RETRY_MS = 1000;
const STALE_RETRY_MS = 30_000;
const WARNING_MS = 60_000;

const SECRET_BYTES = 32;
const RSA_BITS = 2048;

/** Finds the key of a token. Undefined without a setting for one. Throws an Error with a sentence for wrong settings. */
export function createTokenKeys(config: Config, log: Logger): JWTVerifyGetKey | undefined {
  const { authJwksUrl, authJwtKey, authAlgorithms } = config;
  if (authJwksUrl !== undefined && authJwtKey !== undefined) {
    throw new Error('Set AUTH_JWKS_URL or AUTH_JWT_KEY, not both.');
  }
  if (authJwtKey !== undefined) {
    const key = usesSecret(authAlgorithms)
      ? readSecret(authJwtKey, authAlgorithms)
      : readPublicKey(authJwtKey, authAlgorithms);
    return async () => key;
  }
  if (authJwksUrl === undefined) return undefined;
  if (usesSecret(authAlgorithms)) {
    throw new Error(
      `AUTH_ALGORITHMS is "${authAlgorithms.join(', ')}"; these algorithms need a secret in AUTH_JWT_KEY instead of AUTH_JWKS_URL.`,
    );
  }
  return createRemoteKeys(new URL(authJwksUrl), log);
}

function usesSecret(algorithms: readonly string[]): boolean {
  return algorithms.some((name) => name.startsWith('HS'));
}

function readSecret(text: string, algorithms: readonly string[]): KeyObject {
  const names = algorithms.join(', ');
  if (text.includes('-----BEGIN ')) {
    throw new Error(
      `AUTH_JWT_KEY is a key in the PEM format, but the algorithms of AUTH_ALGORITHMS (${names}) need a secret.`,
    );
  }
  const secret = Buffer.from(text);
  if (secret.length < SECRET_BYTES) {
    throw new Error(`AUTH_JWT_KEY must have at least ${SECRET_BYTES} bytes for ${names}.`);
  }
  return createSecretKey(secret);
}

/** Accepts `\n` for the ends of lines: a variable of the environment often has a single line. */
function readPublicKey(text: string, algorithms: readonly string[]): KeyObject {
  const pem = text.replaceAll(String.raw`\n`, '\n');
  if (pem.includes('PRIVATE KEY-----')) {
    throw new Error('AUTH_JWT_KEY must be the public key, but it is the private key.');
  }
  const key = publicKeyOf(pem);
  if (!key) {
    throw new Error(
      `AUTH_JWT_KEY must be a public key in the PEM format, as ${algorithms.join(', ')} of AUTH_ALGORITHMS needs it.`,
    );
  }
  for (const name of algorithms) {
    const { needs, fits } = requirementOf(name);
    if (!fits(key))
      throw new Error(`AUTH_JWT_KEY must be ${needs}, since AUTH_ALGORITHMS has ${name}.`);
  }
  return key;
}

function publicKeyOf(pem: string): KeyObject | undefined {
  try {
    return createPublicKey(pem);
  } catch {
    return undefined;
  }
}

interface Requirement {
  needs: string;
  fits(key: KeyObject): boolean;
}

const CURVES: Record<string, string> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};

function requirementOf(algorithm: string): Requirement {
  const curve = CURVES[algorithm];
  if (curve) {
    return {
      needs: `a key of the curve ${curve}`,
      fits: (key) => key.asymmetricKeyDetails?.namedCurve === curve,
    };
  }
  if (/^[RP]S/.test(algorithm)) {
    return {
      needs: `an RSA key of at least ${RSA_BITS} bits`,
      fits: ({ asymmetricKeyType, asymmetricKeyDetails }) =>
        asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS,
    };
  }
  return { needs: 'an Ed25519 key', fits: (key) => key.asymmetricKeyType === 'ed25519' };
}

/**
 * The keys of a JSON Web Key Set. They are fetched at the first use, again after ten minutes, and for an unknown key id. While
 * the address does not answer, the fetched keys stay in use; without any, requests fail with SERVICE_UNAVAILABLE. A set without
 * keys is an answer, too: the issuer trusts no key, so every token is refused.
 */
function createRemoteKeys(url: URL, log: Logger): JWTVerifyGetKey {
  let nextFetch = 0;
  let nextWarning = 0;
  let staleAt = 0;
  const keys = createRemoteJWKSet(url, {
    timeoutDuration: FETCH_MS,
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: Infinity,
    async [customFetch](href, options) {
      if (Date.now() < nextFetch) throw new Error('The last attempt failed.');
      nextFetch = Date.now() + RETRY_MS;
      const response = await fetch(href, options);
      if (response.status !== 200) throw new Error(`The HTTP status is ${response.status}.`);
      staleAt = Date.now() + FRESH_MS;
      return response;
    },
  });

  function warn(error: unknown): void {
    if (Date.now() < nextWarning) return;
    nextWarning = Date.now() + WARNING_MS;
    log.warn({ err: error }, 'The keys at AUTH_JWKS_URL cannot be used.');
  }

  async function refresh(): Promise<void> {
    if (!keys.fresh || Date.now() < staleAt) return;
    staleAt = Date.now() + STALE_RETRY_MS;
    await keys.reload().catch(warn); // The fetched keys stay in use.
  }

  return async (header, token) => {
    const search = async () => {
      try {
        const key = await keys(header, token);
        nextFetch = 0;
        return key;
      } catch (error) {
        if (isMissing(error)) {
          nextFetch = 0;
          if (keys.jwks()?.keys.length === 0) warn(new Error('The set has no keys.'));
          throw error;
        }
        warn(error);
        // Without a cause: a socket's error would pass for one of the database.
        throw new AppError(
          'SERVICE_UNAVAILABLE',
          'The server cannot read the keys of the tokens at the moment.',
        );
      }
    };
    await refresh();
    return search().catch((error: unknown) => {
      // The fetch of another request may have ended between the search and the check of the cooldown.
      if (error instanceof errors.JWKSNoMatchingKey) return search();
      throw error;
    });
  };
}

function isMissing(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys
  );
}
