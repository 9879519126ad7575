import type { Config } from '../config.ts';
import type { Sql } from '../db/query.ts';
import type { Logger } from '../log.ts';
import type { Login } from './authenticate.ts';
import { createJwtLogin } from './jwt.ts';
import { createKeyLogin } from './key-login.ts';

interface Needs {
  config: Config;
  sql: Sql;
  log: Logger;
}

/** The configured ways to log in, in the order in which a request tries them. Throws for settings that contradict each other. */
export function createLogins(needs: Needs): Login[] {
  const { config, log } = needs;
  const jwtLogin = createJwtLogin(config, log);
  if (jwtLogin && config.auth === 'none') {
    throw new Error('AUTH is "none"; it must be another value with AUTH_JWKS_URL or AUTH_JWT_KEY.');
  }
  return [
    ...(jwtLogin ? [jwtLogin] : []),
    ...(config.auth === 'keys' ? [createKeyLogin(needs)] : []),
  ];
}
