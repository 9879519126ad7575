import { exportPKCS8, exportSPKI, SignJWT, UnsecuredJWT } from 'jose';
import { afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createJwtLogin } from '../src/auth/jwt.ts';
import type { Viewer } from '../src/auth/viewer.ts';
import { readConfig } from '../src/config.ts';
import { createLogger } from '../src/log.ts';
import {
  AUDIENCE,
  createIssuerKey,
  epoch,
  ISSUER,
  signToken,
  startJwksServer,
  type IssuerKey,
} from './support/jwks.ts';

const SECRET = 'a secret with more than thirty-two bytes';
const log = createLogger('silent');

let first: IssuerKey;
let second: IssuerKey;
let elliptic: IssuerKey;

beforeAll(async () => {
  first = await createIssuerKey('first');
  second = await createIssuerKey('second');
  elliptic = await createIssuerKey('elliptic', 'ES256');
});

afterEach(() => {
  vi.useRealTimers();
});

function createLogin(env: Record<string, string>) {
  return createJwtLogin(readConfig(env), log);
}

/** Logs in with a token, and returns the viewer. Throws the error of the login. */
type LogIn = (token: string | undefined) => Promise<Viewer | undefined>;

function loginOf(env: Record<string, string>): LogIn {
  const login = createLogin({ AUTH_AUDIENCE: AUDIENCE, AUTH_ISSUER: ISSUER, ...env });
  if (!login) throw new Error('The settings give no login.');
  return (token) => login({ token, apiKey: undefined });
}

/** A login with the public key of the first pair. */
async function firstLogin(env: Record<string, string> = {}): Promise<LogIn> {
  return loginOf({ AUTH_JWT_KEY: await exportSPKI(first.publicKey), ...env });
}

/** The code and the message of a refusal. Fails the test if they have a part of the token. */
async function refusal(logIn: LogIn, token: string): Promise<string> {
  const error = await logIn(token).then(
    () => expect.fail('The token was accepted.'),
    (thrown: unknown) => thrown as { code: string; message: string },
  );
  for (const part of token.split('.').filter(Boolean)) expect(error.message).not.toContain(part);
  return `${error.code}: ${error.message}`;
}

/** Moves the clock. Timers run as before. */
function passTime(seconds: number): void {
  const now = Date.now() + seconds * 1000;
  vi.useFakeTimers({ toFake: ['Date'], now });
}

describe('A token', () => {
  it('gives the viewer of its claims, until its expiry and the leeway', async () => {
    const logIn = await firstLogin({
      AUTH_CLAIM_TENANT: 'org.id',
      AUTH_CLAIM_OWNER: 'email',
      AUTH_CLAIM_ROLES: 'realm_access.roles',
    });
    const exp = epoch() + 60;
    const claims = {
      exp,
      email: 'ann@mail.team.example',
      org: { id: 'acme' },
      realm_access: { roles: ['offline_access', 'reader', 'member'] },
    };
    expect(await logIn(await signToken(first, claims))).toEqual({
      kind: 'jwt',
      tenant: 'acme',
      identity: 'ann@mail.team.example',
      roles: ['reader', 'member'],
      permissions: [],
      sees: 'own',
      expiresAt: new Date((exp + 30) * 1000),
      claims: { sub: 'ann' },
    });
  });

  it('belongs to the tenant "default", if no claim has the tenant', async () => {
    const logIn = await firstLogin();
    expect(await logIn(await signToken(first, { tenant: 'acme' }))).toMatchObject({
      tenant: 'default',
      identity: 'ann',
    });
  });

  it.for<[Record<string, string>, unknown, string[], string]>([
    [{}, undefined, ['member'], 'own'],
    [{}, [], ['member'], 'own'],
    [{}, 'stranger', ['member'], 'own'],
    [{}, 'openid reader', ['reader'], 'own'],
    [{}, ['admin', 'member', 'admin'], ['member', 'admin'], 'tenant'],
    [{ AUTH_DEFAULT_ROLE: 'reader' }, ['Admin'], ['reader'], 'own'],
    [{ AUTH_SCOPE: 'tenant' }, 'member', ['member'], 'tenant'],
  ])('with %o and roles %o has the roles %o', async ([env, given, roles, sees]) => {
    const logIn = await firstLogin(env);
    const viewer = await logIn(await signToken(first, { roles: given }));
    expect(viewer).toMatchObject({ roles, sees });
  });

  it('gives graphs its small, plain claims, without tokens', async () => {
    const logIn = await firstLogin();
    const plain = { locale: 'de', level: 3, groups: ['a', 'b'], host: 'server12.team.example' };
    const token = await signToken(first, {
      ...plain,
      jti: 'x',
      nonce: 'x',
      id: await signToken(first),
      access_token: 'opaque',
      key: 'tql_abc',
      nested: { a: 1 },
      large: 'x'.repeat(2000),
      nul: 'a\0b',
    });
    expect((await logIn(token))?.claims).toEqual(plain);
  });

  it('may be signed with a secret, or on a curve, if AUTH_ALGORITHMS says so', async () => {
    const withSecret = loginOf({ AUTH_JWT_KEY: SECRET, AUTH_ALGORITHMS: 'HS256,HS512' });
    const token = await new SignJWT({ sub: 'ann', aud: AUDIENCE, iss: ISSUER, exp: epoch() + 60 })
      .setProtectedHeader({ alg: 'HS512' })
      .sign(new TextEncoder().encode(SECRET));
    expect(await withSecret(token)).toMatchObject({ identity: 'ann' });

    const pem = await exportSPKI(elliptic.publicKey);
    const withCurve = loginOf({
      AUTH_JWT_KEY: pem.replaceAll('\n', String.raw`\n`),
      AUTH_ALGORITHMS: 'ES256',
    });
    expect(await withCurve(await signToken(elliptic))).toMatchObject({ identity: 'ann' });
  });

  it('may be for one of several audiences', async () => {
    const logIn = await firstLogin({ AUTH_AUDIENCE: 'other, threadql' });
    const token = await signToken(first, { aud: ['web', AUDIENCE] });
    expect(await logIn(token)).toMatchObject({ identity: 'ann' });
  });

  it('may come from any issuer that has the key, without AUTH_ISSUER', async () => {
    const logIn = await firstLogin({ AUTH_ISSUER: '' });
    expect(await logIn(await signToken(first, { iss: undefined }))).toMatchObject({
      identity: 'ann',
    });
  });

  it('is accepted within the leeway of the clock', async () => {
    const logIn = await firstLogin();
    const late = await signToken(first, { exp: epoch() - 20 });
    const early = await signToken(first, { nbf: epoch() + 20 });
    expect(await logIn(late)).toMatchObject({ identity: 'ann' });
    expect(await logIn(early)).toMatchObject({ identity: 'ann' });
  });

  it('keeps a name with strange characters unchanged', async () => {
    const logIn = await firstLogin({ AUTH_CLAIM_TENANT: 'tenant' });
    for (const tenant of ["a'; --", '%_\\', '../b', ' a ', '𝄞'.repeat(255), 'é', '{"$eq":1}']) {
      expect(await logIn(await signToken(first, { tenant }))).toMatchObject({ tenant });
    }
  });

  it('is left to other logins, if it is missing or an API key', async () => {
    const logIn = await firstLogin();
    expect(await logIn(undefined)).toBeUndefined();
    expect(await logIn('tql_0123456789')).toBeUndefined();
  });
});

describe('A refused token', () => {
  it.for<[string, Record<string, unknown>, string]>([
    ['another audience', { aud: 'other' }, 'The token is for another audience.'],
    ['a part of the audience', { aud: 'thread' }, 'The token is for another audience.'],
    ['an audience of a wrong type', { aud: 1 }, 'The token is for another audience.'],
    ['no audience', { aud: undefined }, 'The token has no claim "aud".'],
    ['another issuer', { iss: `${ISSUER}/` }, 'The token is from another issuer.'],
    ['no issuer', { iss: undefined }, 'The token has no claim "iss".'],
    ['no expiry', { exp: undefined }, 'The token has no claim "exp".'],
    ['an expiry of a wrong type', { exp: '1' }, 'The claim "exp" of the token must be a number.'],
    ['an expiry beyond all dates', { exp: 1e300 }, 'The claim "exp" of the token is not a date.'],
    ['a past expiry', { exp: epoch() - 40 }, 'The token has expired.'],
    ['a future start', { nbf: epoch() + 90 }, 'The token is not valid yet.'],
    ['no owner', { sub: undefined }, 'The token has no claim "sub".'],
  ])('has %s', async ([, claims, sentence]) => {
    const logIn = await firstLogin();
    expect(await refusal(logIn, await signToken(first, claims))).toBe(
      `UNAUTHENTICATED: ${sentence}`,
    );
  });

  it.for([1, null, true, ['a'], { a: 1 }, '', 'a\0', 'a\nb', '\u0085', '\uD800', 'x'.repeat(256)])(
    'has the owner or the tenant %j',
    async (name) => {
      const logIn = await firstLogin({ AUTH_CLAIM_TENANT: 'tenant' });
      for (const claim of ['sub', 'tenant']) {
        const token = await signToken(first, { tenant: 'acme', [claim]: name });
        expect(await refusal(logIn, token)).toBe(
          `UNAUTHENTICATED: The claim "${claim}" of the token must be a text of 1 to 255 characters without control characters.`,
        );
      }
    },
  );

  it('has no tenant, but AUTH_CLAIM_TENANT asks for one', async () => {
    for (const claim of ['tenant', 'org.id', 'constructor', 'sub.length']) {
      const logIn = await firstLogin({ AUTH_CLAIM_TENANT: claim });
      expect(await refusal(logIn, await signToken(first))).toBe(
        `UNAUTHENTICATED: The token has no claim "${claim}".`,
      );
    }
  });

  it.for([1, true, { admin: true }, ['member', 1]])('has the roles %j', async (roles) => {
    const logIn = await firstLogin();
    expect(await refusal(logIn, await signToken(first, { roles }))).toBe(
      'UNAUTHENTICATED: The claim "roles" of the token must be a text or a list of texts.',
    );
  });

  it('has the algorithm none', async () => {
    const logIn = await firstLogin();
    const token = new UnsecuredJWT({ sub: 'ann', aud: AUDIENCE, iss: ISSUER })
      .setExpirationTime('1h')
      .encode();
    expect(await refusal(logIn, token)).toMatch(/^UNAUTHENTICATED: The token has a signature of/);
    expect(await refusal(logIn, token.replace(/\.$/, '.AAAA'))).toMatch(/^UNAUTHENTICATED: /);
  });

  it('is signed with the public key as a secret', async () => {
    await using jwks = await startJwksServer([first]);
    const pem = await exportSPKI(first.publicKey);
    const logins = [await firstLogin(), loginOf({ AUTH_JWKS_URL: jwks.url })];
    for (const secret of [pem, pem.trim(), JSON.stringify(first.jwk), first.jwk.n ?? '']) {
      const token = await new SignJWT({ sub: 'ann', aud: AUDIENCE, iss: ISSUER })
        .setProtectedHeader({ alg: 'HS256', kid: first.kid })
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(secret));
      for (const logIn of logins) {
        expect(await refusal(logIn, token)).toMatch(/^UNAUTHENTICATED: The token has a signature/);
      }
    }
    expect(jwks.requests).toBe(0);
  });

  it('is signed with a foreign key, also with one that the token brings along', async () => {
    const logIn = await firstLogin();
    const foreign = await new SignJWT({ sub: 'ann', aud: AUDIENCE, iss: ISSUER })
      .setProtectedHeader({ alg: 'RS256', kid: first.kid, jwk: second.jwk })
      .setExpirationTime('1h')
      .sign(second.privateKey);
    expect(await refusal(logIn, foreign)).toBe(
      'UNAUTHENTICATED: The signature of the token is wrong.',
    );
  });

  it('is changed, cut or no token', async () => {
    const logIn = await firstLogin();
    const token = await signToken(first);
    const [head = '', , signature = ''] = token.split('.');
    const claims = Buffer.from(JSON.stringify({ sub: 'eve', aud: AUDIENCE, iss: ISSUER }));
    for (const wrong of [
      `${head}.${claims.toString('base64url')}.${signature}`,
      token.slice(0, -10),
      `${head}.${signature}`,
      `${token}.${signature}`,
      '..',
      'x',
      '💥.💥.💥',
    ]) {
      expect(await refusal(logIn, wrong)).toMatch(
        /^UNAUTHENTICATED: The (signature of the )?token/,
      );
    }
    expect(await refusal(logIn, 'x'.repeat(20_000))).toBe(
      'UNAUTHENTICATED: The token is longer than 16384 characters.',
    );
  });
});

describe('The keys at AUTH_JWKS_URL', () => {
  it('are fetched once for concurrent requests', async () => {
    await using jwks = await startJwksServer([first, second]);
    const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
    expect(jwks.requests).toBe(0);
    const tokens = await Promise.all([first, second, first, second].map((key) => signToken(key)));
    expect(await Promise.all(tokens.map(logIn))).toHaveLength(4);
    expect(await Promise.all(tokens.map(logIn))).toHaveLength(4);
    expect(jwks.requests).toBe(1);
  });

  it('may be rotated: concurrent requests with the new key lead to one fetch', async () => {
    await using jwks = await startJwksServer([first]);
    const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
    const old = await signToken(first);
    await logIn(old);
    jwks.keys = [second];
    passTime(11);

    const token = await signToken(second);
    const viewers = await Promise.all(Array.from({ length: 20 }, () => logIn(token)));
    expect(viewers.every((viewer) => viewer?.identity === 'ann')).toBe(true);
    expect(jwks.requests).toBe(2);
    expect(await refusal(logIn, old)).toBe(
      'UNAUTHENTICATED: The server does not know the key of the token.',
    );
  });

  it('are not fetched for each unknown key', async () => {
    await using jwks = await startJwksServer([first]);
    const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const token = await signToken({ ...second, kid: `unknown-${attempt}` });
      expect(await refusal(logIn, token)).toBe(
        'UNAUTHENTICATED: The server does not know the key of the token.',
      );
    }
    expect(jwks.requests).toBe(1);
  });

  it('are fetched again after ten minutes: a withdrawn key ends', async () => {
    await using jwks = await startJwksServer([first, second]);
    const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
    const token = await signToken(first);
    await logIn(token);
    jwks.keys = [second];
    passTime(601);
    expect(await refusal(logIn, token)).toMatch(/does not know the key/);
  });

  it('may be none: every token is refused, with a warning, until the issuer has keys', async () => {
    await using jwks = await startJwksServer([first]);
    const warnings: unknown[] = [];
    vi.spyOn(log, 'warn').mockImplementation((...given: unknown[]) => void warnings.push(given));
    onTestFinished(() => void vi.restoreAllMocks());
    const unknown = 'UNAUTHENTICATED: The server does not know the key of the token.';
    const token = await signToken(first);
    const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
    await logIn(token);
    jwks.keys = [];
    passTime(601);
    expect(await refusal(logIn, token)).toBe(unknown);
    expect(await refusal(loginOf({ AUTH_JWKS_URL: jwks.url }), token)).toBe(unknown);
    expect(warnings).toMatchObject([
      [{ err: { message: 'The set has no keys.' } }, 'The keys at AUTH_JWKS_URL cannot be used.'],
      [{ err: { message: 'The set has no keys.' } }, 'The keys at AUTH_JWKS_URL cannot be used.'],
    ]);

    jwks.keys = [first];
    passTime(11);
    expect(await logIn(token)).toMatchObject({ identity: 'ann' });
  });

  it('must be named by the token, if several fit', async () => {
    await using jwks = await startJwksServer([first, second]);
    const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
    const token = await new SignJWT({ sub: 'ann', aud: AUDIENCE, iss: ISSUER })
      .setProtectedHeader({ alg: 'RS256' })
      .setExpirationTime('1h')
      .sign(first.privateKey);
    expect(await refusal(logIn, token)).toBe(
      'UNAUTHENTICATED: The token does not name its key, and the server knows several.',
    );
  });

  it('are missing before the first use: SERVICE_UNAVAILABLE until the address answers', async () => {
    await using jwks = await startJwksServer([first]);
    const token = await signToken(first);
    const sentence =
      'SERVICE_UNAVAILABLE: The server cannot read the keys of the tokens at the moment.';
    const answers = [
      { status: 500 },
      { status: 302 },
      { body: '<html>' },
      { body: '{"keys": 1}' },
      { body: 'null' },
    ];
    for (const answer of answers) {
      const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
      Object.assign(jwks, answer);
      expect(await refusal(logIn, token)).toBe(sentence);
      Object.assign(jwks, { status: 200, body: undefined });
      passTime(2);
      expect(await logIn(token)).toMatchObject({ identity: 'ann' });
    }

    const nobody = await startJwksServer([]);
    await nobody[Symbol.asyncDispose]();
    expect(await refusal(loginOf({ AUTH_JWKS_URL: nobody.url }), token)).toBe(sentence);
  });

  it('stay in use while the address does not answer', async () => {
    await using jwks = await startJwksServer([first]);
    const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
    await logIn(await signToken(first));
    jwks.status = 503;
    passTime(3600);
    expect(await logIn(await signToken(first))).toMatchObject({ identity: 'ann' });
    expect(await refusal(logIn, await signToken(second))).toMatch(/^SERVICE_UNAVAILABLE: /);

    jwks.status = 200;
    jwks.keys = [first, second];
    passTime(2);
    expect(await logIn(await signToken(second))).toMatchObject({ identity: 'ann' });
  });

  it('hold up one request for seconds only, while the address accepts connections and does not answer', async () => {
    await using jwks = await startJwksServer([first]);
    const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
    await logIn(await signToken(first));
    jwks.hangs = true;
    passTime(3600);
    const token = await signToken(first);
    const ended: string[] = [];
    await Promise.all([
      logIn(token).then(() => ended.push('the request that fetches')),
      logIn(token).then(() => ended.push('another request')),
    ]);
    expect(ended).toEqual(['another request', 'the request that fetches']);

    const newcomer = loginOf({ AUTH_JWKS_URL: jwks.url });
    expect(await refusal(newcomer, token)).toMatch(/^SERVICE_UNAVAILABLE: /);
  });

  it('are asked once a second at most, while the address does not answer', async () => {
    await using jwks = await startJwksServer([first]);
    jwks.status = 503;
    passTime(0);
    const logIn = loginOf({ AUTH_JWKS_URL: jwks.url });
    const token = await signToken(first);
    for (let attempt = 0; attempt < 10; attempt += 1) await refusal(logIn, token);
    expect(jwks.requests).toBe(1);
  });
});

describe('The settings of tokens', () => {
  it('give no login without a key', () => {
    expect(createLogin({})).toBeUndefined();
    expect(createLogin({ AUTH_AUDIENCE: AUDIENCE, AUTH_JWT_KEY: '' })).toBeUndefined();
  });

  it.for<[Record<string, string>, string]>([
    [{ AUTH_AUDIENCE: '' }, 'AUTH_AUDIENCE must name the audience of the tokens.'],
    [{ AUTH_AUDIENCE: ' , ' }, 'AUTH_AUDIENCE must name the audience of the tokens.'],
    [{ AUTH_JWKS_URL: 'http://a.example' }, 'Set AUTH_JWKS_URL or AUTH_JWT_KEY, not both.'],
    [
      { AUTH_ALGORITHMS: 'RS256,HS256' },
      'AUTH_ALGORITHMS is "RS256,HS256"; it must name algorithms of one family (RS256, RS384, RS512; PS256, PS384, PS512; ES256, ES384, ES512; EdDSA, Ed25519; HS256, HS384, HS512).',
    ],
    [{ AUTH_ALGORITHMS: 'none' }, 'AUTH_ALGORITHMS is "none"; it must name algorithms of'],
    [{ AUTH_ALGORITHMS: ',' }, 'AUTH_ALGORITHMS is ","; it must name algorithms of one family'],
    [
      { AUTH_ALGORITHMS: 'HS256' },
      'AUTH_JWT_KEY is a key in the PEM format, but the algorithms of AUTH_ALGORITHMS (HS256) need a secret.',
    ],
    [
      { AUTH_ALGORITHMS: 'HS256', AUTH_JWT_KEY: 'x'.repeat(31) },
      'AUTH_JWT_KEY must have at least 32 bytes for HS256.',
    ],
    [
      { AUTH_ALGORITHMS: 'HS256', AUTH_JWT_KEY: '', AUTH_JWKS_URL: 'http://a.example' },
      'AUTH_ALGORITHMS is "HS256"; these algorithms need a secret in AUTH_JWT_KEY instead of AUTH_JWKS_URL.',
    ],
    [
      { AUTH_JWT_KEY: SECRET },
      'AUTH_JWT_KEY must be a public key in the PEM format, as RS256 of AUTH_ALGORITHMS needs it.',
    ],
    [
      { AUTH_ALGORITHMS: 'ES256' },
      'AUTH_JWT_KEY must be a key of the curve prime256v1, since AUTH_ALGORITHMS has ES256.',
    ],
    [
      { AUTH_ALGORITHMS: 'EdDSA' },
      'AUTH_JWT_KEY must be an Ed25519 key, since AUTH_ALGORITHMS has EdDSA.',
    ],
    [
      { AUTH_JWKS_URL: 'ftp://a.example', AUTH_JWT_KEY: '' },
      'AUTH_JWKS_URL must be an http:// or https:// URL without a password.',
    ],
    [
      { AUTH_JWKS_URL: 'https://me:secret@a.example', AUTH_JWT_KEY: '' },
      'AUTH_JWKS_URL must be an http:// or https:// URL without a password.',
    ],
    [
      { AUTH_LEEWAY: '11m' },
      'AUTH_LEEWAY is "11m"; it must be a time such as 90s, 30m, 24h or 7d of at most 10m.',
    ],
  ])('are refused: %o', async ([env, sentence]) => {
    await expect(firstLogin(env)).rejects.toThrow(sentence);
  });

  it('are refused with the private key', async () => {
    const AUTH_JWT_KEY = await exportPKCS8(first.privateKey);
    expect(() => loginOf({ AUTH_JWT_KEY })).toThrow(
      'AUTH_JWT_KEY must be the public key, but it is the private key.',
    );
  });

  it('accept no leeway', async () => {
    const logIn = await firstLogin({ AUTH_LEEWAY: '0' });
    const token = await signToken(first, { exp: epoch() - 1 });
    expect(await refusal(logIn, token)).toBe('UNAUTHENTICATED: The token has expired.');
  });
});
