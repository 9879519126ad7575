// Builds src/studio/ into src/generated/studio/, for `npm run generate` and `npm run studio`.
import path from 'node:path';
import { defineConfig } from 'vite';

const root = path.join(import.meta.dirname, '..');

export default defineConfig({
  root: path.join(root, 'src/studio'),
  // Relative: the server may be below another path of a proxy.
  base: './',
  // Warnings are about libraries: directives for servers that render React.
  logLevel: 'error',
  build: {
    outDir: path.join(root, 'src/generated/studio'),
    emptyOutDir: true,
    // All of these have `light-dark()`, so the styles stay as they are.
    target: ['chrome123', 'firefox121', 'safari17.5'],
    manifest: true,
    // Inlined files would need `data:` in the Content-Security-Policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
  // For work on the studio: the API is the one of `npm start`.
  server: {
    proxy: { '/graphql': { target: 'http://127.0.0.1:4000', ws: true } },
  },
});
