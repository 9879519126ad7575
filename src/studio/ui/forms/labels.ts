import type { Shape } from './shape.ts';

/** The name of a field: its title, or its key in words. */
export function labelOf(key: string, { title }: Pick<Shape, 'title'>): string {
  if (title) return title;
  const words = key
    .replaceAll(/([\p{Ll}\d])(\p{Lu})/gu, '$1 $2')
    .replaceAll(/[_-]+/g, ' ')
    .trim();
  const lower = words.replaceAll(/\p{Lu}\p{Ll}+/gu, (word) => word.toLowerCase());
  return lower ? lower.charAt(0).toUpperCase() + lower.slice(1) : key;
}

/** The name of an option of a union: its title, its fixed value, or its type. */
export function optionLabel(shape: Shape, at: number, constants: readonly unknown[]): string {
  if (shape.title) return shape.title;
  if (shape.kind === 'constant') return String(shape.value);
  if (constants.length > 0) return constants.map(String).join(', ');
  const words: Partial<Record<Shape['kind'], string>> = {
    text: 'Text',
    number: 'Number',
    boolean: 'Yes or no',
    null: 'Nothing',
    list: 'List',
    choice: 'Choice',
  };
  return words[shape.kind] ?? `Option ${at + 1}`;
}
