import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect } from 'vitest';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { readConfig } from '../src/config.ts';

const BUILT = path.join(import.meta.dirname, '../src/generated/studio');

interface Chunk {
  file: string;
  imports?: string[];
  css?: string[];
  isEntry?: boolean;
}

function manifest(): Record<string, Chunk> {
  return JSON.parse(readFileSync(path.join(BUILT, '.vite/manifest.json'), 'utf8'));
}

function gzipBytes(files: Iterable<string>): number {
  return [...new Set(files)].reduce(
    (sum, file) => sum + gzipSync(readFileSync(path.join(BUILT, file))).length,
    0,
  );
}

/** The files that a chunk needs at once. */
function filesOf(chunks: Record<string, Chunk>, name: string, seen = new Set<string>()): string[] {
  const chunk = chunks[name];
  if (!chunk || seen.has(name)) return [];
  seen.add(name);
  const imported = (chunk.imports ?? []).flatMap((each) => filesOf(chunks, each, seen));
  return [chunk.file, ...(chunk.css ?? []), ...imported];
}

const get = ({ url }: Client, address: string, headers: Record<string, string> = {}) =>
  fetch(`${url}${address}`, { headers, redirect: 'manual' });

describe('The files of the studio', () => {
  it('are the same page at each of its addresses, with relative links to files', async ({
    client,
  }) => {
    const ways = { '/studio': 'studio/', '/studio/threads': './', '/studio/threads/one': '../' };
    for (const [address, way] of Object.entries(ways)) {
      const page = await get(client, address);
      expect(page.status).toBe(200);
      expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
      const html = await page.text();
      const [, script = ''] = /<script type="module" crossorigin src="([^"]+)"/.exec(html) ?? [];
      expect(script.startsWith(`${way}assets/`)).toBe(true);
      const file = await get(client, new URL(script, page.url).pathname);
      expect(file.headers.get('cache-control')).toContain('immutable');
      expect(file.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    }
  });

  it('have a strict Content-Security-Policy with a new nonce in each answer', async ({
    client,
  }) => {
    const [one, other] = await Promise.all([get(client, '/studio'), get(client, '/studio')]);
    const policy = one.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe-');
    const [, nonce = ''] = /'nonce-([^']+)'/.exec(policy) ?? [];
    expect(nonce).not.toBe('');
    expect(await one.text()).toContain(`nonce="${nonce}"`);
    expect(other.headers.get('content-security-policy')).not.toContain(nonce);
  });

  it('are below 260 kB gzip at first, and below 650 kB gzip together', () => {
    const chunks = manifest();
    const [entry = ''] = Object.entries(chunks).find(([, { isEntry }]) => isEntry) ?? [];
    expect(gzipBytes(filesOf(chunks, entry))).toBeLessThan(260_000);
    const all = readdirSync(path.join(BUILT, 'assets')).map((name) => `assets/${name}`);
    expect(gzipBytes(all)).toBeLessThan(650_000);
  });

  it('refuse other methods, unknown files and pages of other sites', async ({ client }) => {
    const posted = await fetch(`${client.url}/studio`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect(posted.status).toBe(405);
    expect(await posted.text()).toContain('not POST');
    expect((await get(client, '/studio/assets/missing.js')).status).toBe(404);
    const embedded = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' };
    expect((await get(client, '/studio', embedded)).status).toBe(403);
  });

  it('are not served with STUDIO=off', async ({ startServer }) => {
    const { studio } = readConfig({ STUDIO: 'off' });
    const { client } = await startServer({ studio });
    expect((await get(client, '/studio')).status).toBe(404);
    const root = await get(client, '/', { accept: 'text/html' });
    expect(root.headers.get('location')).toBe('graphql');
  });
});
