import path from 'node:path';
import { build, type Plugin } from 'esbuild';
import type { Page } from 'playwright-core';

/** The folder of the project. A script imports its files from here. */
export const ROOT = path.join(import.meta.dirname, '../..');

/** A page with an element `main` and this script. */
export async function buildPage(script: string, plugins: Plugin[] = []): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: script, resolveDir: ROOT, loader: 'ts' },
    bundle: true,
    plugins,
    write: false,
    minify: true,
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  const code = outputFiles[0]?.text.replaceAll('</script', '<\\/script');
  return `<!doctype html><meta charset="utf-8"><main></main><script>${code}</script>`;
}

/** A page on a busy machine takes its time. */
export const WAIT = { timeout: 30_000 };

/** Sends a text with the form of a chat. */
export async function say(page: Page, text: string): Promise<void> {
  await page.locator('input').fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

/** The lines of a chat that have a text. */
export async function linesOf(page: Page): Promise<string[]> {
  const lines = await page.locator('p').allTextContents();
  return lines.map((line) => line.trim()).filter((line) => line !== '');
}
