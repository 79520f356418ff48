import { defineConfig } from 'astro/config'

/** The node's worker and the page name the wasm module alike, so that it is one file and not two. */
const output = { assetFileNames: '_astro/[name].[hash][extname]', chunkFileNames: '_astro/[name].[hash].js', entryFileNames: '_astro/[name].[hash].js' }

// One static page, served by the relay under `script-src 'self' 'wasm-unsafe-eval'`: no script or asset may be inlined.
export default defineConfig({
  output: 'static',
  compressHTML: true,
  devToolbar: { enabled: false },
  build: { inlineStylesheets: 'never' },
  vite: {
    build: { assetsInlineLimit: 0, target: 'es2022', modulePreload: { polyfill: false } },
    worker: { format: 'es', rolldownOptions: { output } },
  },
})
