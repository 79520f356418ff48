import { defineConfig } from 'astro/config'

// One static page, served by the relay under `script-src 'self' 'wasm-unsafe-eval'`: no script or asset may be inlined.
export default defineConfig({
  output: 'static',
  compressHTML: true,
  devToolbar: { enabled: false },
  build: { inlineStylesheets: 'never' },
  vite: {
    build: { assetsInlineLimit: 0, target: 'es2022', modulePreload: { polyfill: false } },
    worker: { format: 'es' },
  },
})
