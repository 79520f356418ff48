// Builds everything that `npm start` needs: wasm → npm package → web app, and the relay beside it. What is up to date is not built again.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { bootstrap } from './bootstrap.mjs'
import { cargo } from './cargo.mjs'
import { compressAll } from './compress.mjs'
import { unlessFresh } from './fresh.mjs'
import { npmPrograms, packageFiles, relayServer, root, site, wasmPackage } from './paths.mjs'
import { run } from './process.mjs'
import { clock, step } from './steps.mjs'
import { ensureRust, ensureWasmBindgen } from './toolchain.mjs'
import { buildWasm } from './wasm.mjs'

const at = (...path) => join(root, ...path)
const PACKAGE_INPUTS = [wasmPackage, at('crates', 'web', 'ts'), at('crates', 'webrtc', 'js'), at('crates', 'web', 'build', 'package.mjs'), at('crates', 'web', 'package.json')]

/**
 * Builds what changed. Two lanes, so that the long single-threaded link of the wasm module does not leave the second core idle.
 */
export async function buildAll() {
  const compiler = await ensureRust()
  const tools = ensureWasmBindgen()
  const lanes = [
    buildWasm(tools).then(buildPackage).then(buildSite),
    tools.then(() => buildRelay(compiler)),
  ]
  // Both come to their end before a failure of one is told, so that nothing goes on unseen.
  const failure = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
  if (failure) throw failure.reason
}

/** The npm package `shoal`, from the wasm and its hand-written TypeScript. */
export function buildPackage() {
  return unlessFresh('package', [...PACKAGE_INPUTS, at('package-lock.json')], [join(packageFiles, 'index.js')], () =>
    step('bundling the npm package', () => run(process.execPath, [at('crates', 'web', 'build', 'package.mjs')])),
  )
}

/** The web app, which uses the package as a stranger would. */
function buildSite() {
  return unlessFresh('site', [at('www'), packageFiles, at('package-lock.json'), at('crates', 'web', 'build', 'compress.mjs')], [join(site, 'index.html.br')], () =>
    step('building the web app', async () => {
      await run(process.execPath, [join(npmPrograms, 'astro'), 'build'], { cwd: at('www'), stdio: ['ignore', 'ignore', 'inherit'], env: { ASTRO_TELEMETRY_DISABLED: '1' } })
      await compressAll(site)
    }),
  )
}

/** The relay. Also for tests that need nothing else: with SHOAL_WORKSPACE set from what was compiled for those of the whole workspace, which has more features. */
export function buildRelay(compiler) {
  const packages = process.env.SHOAL_WORKSPACE ? ['--workspace'] : ['-p', 'relay-server']
  const inputs = ['crates/protocol', 'crates/turn', 'crates/webtransport', 'relay-server', 'Cargo.toml', 'Cargo.lock'].map((path) => at(path))
  return unlessFresh(
    'relay',
    inputs,
    [relayServer],
    () => step('compiling the relay', (report) => cargo(['build', '--locked', '--release', ...packages, '--bin', 'relay-server'], { report, tree: packages })),
    compiler,
  )
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await bootstrap()
  await buildAll()
  console.log(`everything is built (${clock()})`)
}
