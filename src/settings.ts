import { resolve } from 'node:path';
import { z } from 'zod';

/** An environment variable, and the type of its text. The type has the default. */
export interface Setting<Value> {
  variable: string;
  type: z.ZodType<Value>;
  /** The error leaves out the text, which may contain a password. */
  isSecret?: boolean;
}

const ALGORITHM_FAMILIES = [
  ['RS256', 'RS384', 'RS512'],
  ['PS256', 'PS384', 'PS512'],
  ['ES256', 'ES384', 'ES512'],
  ['EdDSA', 'Ed25519'],
  ['HS256', 'HS384', 'HS512'],
];

const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
const LONGEST_SECONDS = 36_500 * 86_400;

export function text(variable: string, { otherwise }: { otherwise: string }): Setting<string> {
  return { variable, type: z.string().default(otherwise) };
}

export function optionalText(variable: string): Setting<string | undefined> {
  return { variable, type: z.string().optional() };
}

/** The path of a file, as an absolute path. */
export function file(variable: string, { otherwise }: { otherwise: string }): Setting<string> {
  const type = z
    .string()
    .default(otherwise)
    .transform((path) => resolve(path));
  return { variable, type };
}

export function integer(
  variable: string,
  { otherwise, min, max }: { otherwise: number; min: number; max: number },
): Setting<number> {
  const rule = `be a whole number from ${min} to ${max}`;
  const type = z.coerce.number(rule).int(rule).min(min, rule).max(max, rule).default(otherwise);
  return { variable, type };
}

/** `90s`, `30m`, `24h`, `7d` or plain seconds. The value is in seconds. */
export function duration(
  variable: string,
  { otherwise, min = 1, max }: { otherwise: string; min?: number; max?: string },
): Setting<number> {
  const range = max ? ` of at most ${max}` : '';
  const rule = `be a time such as 90s, 30m, 24h or 7d${range}`;
  const type = z
    .string()
    .default(otherwise)
    .transform(secondsOf)
    .pipe(
      z
        .number(rule)
        .min(min, rule)
        .max(max ? secondsOf(max) : LONGEST_SECONDS, rule),
    );
  return { variable, type };
}

/** The seconds of a time such as 90s, 30m, 24h or 7d. NaN for another text. */
export function secondsOf(text: string): number {
  const [, digits, unit = 's'] = /^(\d+)([smhd])?$/.exec(text) ?? [];
  return Number(digits) * (UNIT_SECONDS[unit] ?? 1);
}

export function oneOf<const Value extends string>(
  variable: string,
  { otherwise, of }: { otherwise: NoInfer<Value>; of: readonly Value[] },
): Setting<Value> {
  const type: z.ZodType<Value> = z.enum(of, `be one of ${of.join(', ')}`);
  return { variable, type: type.default(otherwise) };
}

export function onOff(
  variable: string,
  { otherwise }: { otherwise: 'on' | 'off' },
): Setting<boolean> {
  const type = z.enum(['on', 'off'], 'be one of on, off').default(otherwise);
  return { variable, type: type.transform((given) => given === 'on') };
}

/** Entries between commas. */
export function list(variable: string): Setting<readonly string[]> {
  return { variable, type: z.string().transform(entriesOf).default([]) };
}

function entriesOf(given: string): string[] {
  const entries = given.split(',').map((entry) => entry.trim());
  return entries.filter((entry) => entry !== '');
}

/** Algorithms of signatures. Of one family: with a mixture, a public key could pass as a secret. */
export function algorithms(
  variable: string,
  { otherwise }: { otherwise: string },
): Setting<readonly string[]> {
  const families = ALGORITHM_FAMILIES.map((family) => family.join(', ')).join('; ');
  const rule = `name algorithms of one family (${families})`;
  const isOfOneFamily = (names: string[]) =>
    names.length > 0 &&
    ALGORITHM_FAMILIES.some((family) => names.every((name) => family.includes(name)));
  const type = z.string().default(otherwise).transform(entriesOf);
  return { variable, type: type.refine(isOfOneFamily, rule) };
}

export function webUrl(variable: string): Setting<string | undefined> {
  const rule = 'be an http:// or https:// URL without a password';
  const type = z.string().refine((given) => {
    if (!URL.canParse(given)) return false;
    const { protocol, username, password } = new URL(given);
    return /^https?:$/.test(protocol) && username === '' && password === '';
  }, rule);
  return { variable, type: type.optional(), isSecret: true };
}

export function postgresUrl(variable: string): Setting<string | undefined> {
  const type = z.string().regex(/^postgres(ql)?:\/\//, 'start with postgres:// or postgresql://');
  return { variable, type: type.optional(), isSecret: true };
}
