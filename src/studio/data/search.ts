/** The search of a URL: each name with its values. */
export type Search = Record<string, string | string[]>;

/** Reads `?status=IDLE&status=BUSY&graph=agent`. */
export function parseSearch(text: string): Search {
  const parameters = new URLSearchParams(text);
  const names = [...new Set(parameters.keys())];
  return Object.fromEntries(
    names.map((name) => {
      const values = parameters.getAll(name);
      return [name, values.length > 1 ? values : (values[0] ?? '')];
    }),
  );
}

/** Writes a search. Only texts and lists of texts count; empty ones are left out. */
export function stringifySearch(search: object): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const each of [value].flat()) {
      if (typeof each === 'string' && each !== '') parameters.append(name, each);
    }
  }
  const text = parameters.toString();
  return text && `?${text}`;
}

/** A text of a search; undefined if it is missing. */
export function text(value: unknown): string | undefined {
  const [first] = [value].flat();
  return typeof first === 'string' && first !== '' ? first : undefined;
}

/** A value of a search, among these options. */
export function oneOf<const Option extends string>(
  value: unknown,
  options: readonly Option[],
): Option | undefined {
  return options.find((option) => option === text(value));
}

/** The values of a search that are among these. Undefined if none is. */
export function someOf<const Option extends string>(
  value: unknown,
  options: readonly Option[],
): Option[] | undefined {
  const values = options.filter((option) => [value].flat().includes(option));
  return values.length > 0 ? values : undefined;
}
