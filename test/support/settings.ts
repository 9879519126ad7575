import { readConfig, type Config } from '../../src/config.ts';

/** Returns the settings that these environment variables change. */
export function settingsOf(env: Record<string, string>): Partial<Config> {
  const standard = new Map(Object.entries(readConfig({})));
  const changed = Object.entries(readConfig(env)).filter(
    ([key, value]) => JSON.stringify(standard.get(key)) !== JSON.stringify(value),
  );
  return Object.fromEntries(changed);
}
