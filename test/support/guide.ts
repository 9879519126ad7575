import { readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');
const GUIDE = ['README.md', 'docs/api.md', 'docs/front-ends.md']
  .map((page) => readFileSync(path.join(ROOT, page), 'utf8'))
  .join('\n');

/** Returns the code blocks of a language in the README and in docs/. */
export function codeBlocks(language: string): string[] {
  const found = GUIDE.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'));
  return Array.from(found, ([, code]) => code ?? '');
}
