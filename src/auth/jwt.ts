import { errors, jwtVerify, type JWTPayload } from 'jose';
import type { Config } from '../config.ts';
import { UnauthenticatedError } from '../errors.ts';
import { recordOf } from '../json.ts';
import type { Logger } from '../log.ts';
import type { Login } from './authenticate.ts';
import { createTokenKeys } from './jwt-keys.ts';
import { KEY_PREFIX } from './keys.ts';
import { A_NAME, isName } from './names.ts';
import { DEFAULT_TENANT, rolesIn, visibleRows, type Role, type Viewer } from './viewer.ts';

const TOKEN_LENGTH = 16_384;
const CLAIM_LENGTH = 1000;

/** Claims about the token and its session, not about the client. */
const TOKEN_CLAIMS = new Set(
  'iss aud exp nbf iat jti nonce at_hash c_hash s_hash sid cnf auth_time __proto__'.split(' '),
);

/**
 * The login with JSON Web Tokens. Undefined without AUTH_JWKS_URL and AUTH_JWT_KEY. Throws an Error with a sentence for wrong
 * settings.
 */
export function createJwtLogin(config: Config, log: Logger): Login | undefined {
  const keys = createTokenKeys(config, log);
  if (!keys) return undefined;
  const { authAudience, authIssuer, authAlgorithms, authLeewaySeconds } = config;
  if (authAudience.length === 0) {
    throw new Error('AUTH_AUDIENCE must name the audience of the tokens.');
  }
  const options = {
    algorithms: [...authAlgorithms],
    audience: [...authAudience],
    ...(authIssuer !== undefined && { issuer: authIssuer }),
    clockTolerance: authLeewaySeconds,
    requiredClaims: ['exp'],
  };
  return async ({ token }) => {
    if (token === undefined || token.startsWith(KEY_PREFIX)) return undefined;
    if (token.length > TOKEN_LENGTH) {
      throw new UnauthenticatedError(`The token is longer than ${TOKEN_LENGTH} characters.`);
    }
    const { payload } = await jwtVerify(token, keys, options).catch((error: unknown) => {
      throw refusalOf(error);
    });
    return viewerOf(payload, config);
  };
}

/** The error for the client. The errors of jose may quote the token. */
function refusalOf(error: unknown): unknown {
  if (!(error instanceof errors.JOSEError)) return error;
  return new UnauthenticatedError(sentenceOf(error));
}

function sentenceOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'The token has expired.';
  if (error instanceof errors.JWTClaimValidationFailed) return claimSentence(error);
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return 'The token has a signature of an algorithm that AUTH_ALGORITHMS does not name.';
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return 'The signature of the token is wrong.';
  }
  if (error instanceof errors.JWKSNoMatchingKey)
    return 'The server does not know the key of the token.';
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return 'The token does not name its key, and the server knows several.';
  }
  return 'The token is not a JSON Web Token.';
}

function claimSentence({ claim, reason }: errors.JWTClaimValidationFailed): string {
  if (reason === 'missing') return `The token has no claim "${claim}".`;
  if (reason === 'invalid') return `The claim "${claim}" of the token must be a number.`;
  if (claim === 'nbf') return 'The token is not valid yet.';
  return claim === 'aud'
    ? 'The token is for another audience.'
    : 'The token is from another issuer.';
}

function viewerOf(payload: JWTPayload, config: Config): Viewer {
  const { authClaimOwner, authClaimTenant, authScope, authLeewaySeconds } = config;
  const roles = rolesOf(payload, config);
  return {
    kind: 'jwt',
    tenant: authClaimTenant === undefined ? DEFAULT_TENANT : nameAt(payload, authClaimTenant),
    identity: nameAt(payload, authClaimOwner),
    roles,
    permissions: [],
    sees: visibleRows(roles, authScope),
    expiresAt: expiryOf(payload, authLeewaySeconds),
    claims: furtherClaims(payload, config),
  };
}

function expiryOf({ exp = 0 }: JWTPayload, leewaySeconds: number): Date {
  const date = new Date((exp + leewaySeconds) * 1000);
  if (!Number.isNaN(date.getTime())) return date;
  throw new UnauthenticatedError('The claim "exp" of the token is not a date.');
}

/** The claim with this name, or the one at this path: `realm_access.roles`. */
function claimAt(payload: JWTPayload, path: string): unknown {
  if (Object.hasOwn(payload, path)) return payload[path];
  return path.split('.').reduce<unknown>((value, name) => {
    const object = recordOf(value);
    return Object.hasOwn(object, name) ? object[name] : undefined;
  }, payload);
}

function nameAt(payload: JWTPayload, path: string): string {
  const value = claimAt(payload, path);
  if (value === undefined) throw new UnauthenticatedError(`The token has no claim "${path}".`);
  if (isName(value)) return value;
  throw new UnauthenticatedError(`The claim "${path}" of the token must be ${A_NAME}.`);
}

function rolesOf(payload: JWTPayload, { authClaimRoles, authDefaultRole }: Config): Role[] {
  const value = claimAt(payload, authClaimRoles) ?? [];
  const given: unknown = typeof value === 'string' ? value.split(/\s+/) : value;
  if (!Array.isArray(given) || given.some((role) => typeof role !== 'string')) {
    throw new UnauthenticatedError(
      `The claim "${authClaimRoles}" of the token must be a text or a list of texts.`,
    );
  }
  const known = rolesIn(given);
  return known.length > 0 ? known : [authDefaultRole];
}

/** The other small, plain claims. Leaves out what looks like a token. */
function furtherClaims(payload: JWTPayload, config: Config): Record<string, unknown> {
  const known = [config.authClaimOwner, config.authClaimTenant, config.authClaimRoles];
  const further = Object.entries(payload).filter(
    ([name, value]) => !TOKEN_CLAIMS.has(name) && !known.includes(name) && isSmall(name, value),
  );
  return Object.fromEntries(further);
}

function isSmall(name: string, value: unknown): boolean {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return (
    values.every(isPlain) &&
    JSON.stringify([name, value]).length <= CLAIM_LENGTH &&
    isStorable(name) &&
    !SECRET_NAME.test(name)
  );
}

function isPlain(value: unknown): boolean {
  if (typeof value === 'string') return isStorable(value) && !SECRET_TEXT.test(value);
  return typeof value === 'boolean' || Number.isFinite(value);
}

/** PostgreSQL refuses null characters and lone surrogates. */
function isStorable(text: string): boolean {
  return !/[\0\p{Surrogate}]/u.test(text);
}

const SECRET_NAME = /token|secret|password/i;
const SECRET_TEXT = /^(eyJ[\w-]*\.|tql_)/;
