// Pages of the tests' own, served by the relay like the web app: for what the app does not offer, such as many nodes one after the other.
import { cp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packageFiles, root } from '../crates/web/build/paths.mjs'
import { createTemporary } from './temporary.mjs'

/**
 * A directory to serve, with an `index.html` that runs one script.
 * @param {{ script?: string, entry?: string, files?: Record<string, string> }} options `script`: a module's text. `entry`: a TypeScript file under
 *   tests/ to bundle. `files`: further files, by name.
 */
export async function createPages({ script, entry, files = {} }) {
  const path = await createTemporary('pages')
  // The empty icon spares the consoles a complaint about a missing one.
  await writeFile(
    join(path, 'index.html'),
    '<!doctype html><meta charset="utf-8"><title>Shoal test</title><link rel="icon" href="data:,"><script type="module" src="./script.js"></script>',
  )
  if (entry) await bundle(join(root, 'tests', entry), join(path, 'script.js'))
  else await writeFile(join(path, 'script.js'), script)
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

async function bundle(from, to) {
  const { build } = await import('esbuild')
  await build({ entryPoints: [from], outfile: to, bundle: true, format: 'esm', platform: 'browser', target: 'es2023', logLevel: 'warning', define: { global: 'globalThis' } })
}

/** A page whose console has the npm package: `window.shoalPackage.createNode()`. */
export async function packagePages() {
  const pages = await createPages({ script: `window.shoalPackage = await import('./shoal/index.js')` })
  await cp(packageFiles, join(pages.path, 'shoal'), { recursive: true })
  return pages
}
