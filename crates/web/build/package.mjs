/**
 * Makes the npm package's `dist`: two bundles, the wasm module and the types.
 *
 *     dist/index.js              what `import … from 'shoal'` gives
 *     dist/worker.js             the worker's script; found by index.js next to itself
 *     dist/shoal_web_bg.wasm     found by worker.js next to itself
 *     dist/*.d.ts                the public types, and no others
 *
 * Both are found by `new URL(…, import.meta.url)`, which browsers, Vite, webpack, Parcel and Rollup all understand.
 * Needs `pkg` (the wasm build's output). Run it alone with `node build/package.mjs`.
 */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'

const run = promisify(execFile)
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')

/** Writes `dist` from `ts` and `pkg`. */
export async function packageAll() {
  await mkdir(dist, { recursive: true })
  await Promise.all([bundle(), types(), copyFile(join(root, 'pkg/shoal_web_bg.wasm'), join(dist, 'shoal_web_bg.wasm'))])
}

async function bundle() {
  const common = {
    absWorkingDir: root,
    outdir: 'dist',
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [workerStaysApart],
  }
  await Promise.all([
    // The console shows the names of classes to whoever uses the package; in the worker, where nobody looks, they would be a tenth of the script.
    build({ ...common, entryPoints: ['ts/index.ts'], keepNames: true }),
    // See clock.ts for what is wrong with the device's clock.
    build({ ...common, entryPoints: ['ts/worker.ts'], inject: ['ts/clock.ts'], define: { 'Date.now': 'slowNow' } }),
  ])
}

/** The page imports the worker's script only where a worker cannot run it: as the same file, not as a second copy inside index.js. */
const workerStaysApart = {
  name: 'worker-stays-apart',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/worker\.ts$/ }, ({ kind }) => (kind === 'dynamic-import' ? { path: './worker.js', external: true } : undefined))
  },
}

/** Declarations of what index.ts exports, and of the files that those declarations mention. */
async function types() {
  const out = await mkdtemp(join(tmpdir(), 'shoal-types-'))
  try {
    const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
    await run(process.execPath, [tsc, '-p', join(root, 'tsconfig.json'), '--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--stripInternal', '--outDir', out])
    const folder = join(out, 'web/ts') // below `crates`, the folder that all sources share
    await Promise.all((await readdir(dist)).filter((name) => name.endsWith('.d.ts')).map((name) => rm(join(dist, name))))
    const wanted = ['index']
    for (const name of wanted) {
      const text = (await readFile(join(folder, `${name}.d.ts`), 'utf8')).replace(/(from '|import\(')(\.\/[\w-]+)\.ts'/g, "$1$2.js'")
      await writeFile(join(dist, `${name}.d.ts`), text)
      for (const [, mentioned] of text.matchAll(/'\.\/([\w-]+)\.js'/g)) if (!wanted.includes(mentioned)) wanted.push(mentioned)
    }
  } catch (error) {
    throw new Error(`The types could not be made:\n${error.stdout ?? error.message}`, { cause: error })
  } finally {
    await rm(out, { recursive: true })
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await packageAll()
