// From Rust to the wasm module and its generated JavaScript in crates/web/pkg, as wasm-pack.toml says.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cargo } from './cargo.mjs'
import { unlessFresh } from './fresh.mjs'
import { shortenImports } from './names.mjs'
import { orderFunctions } from './order.mjs'
import { root, target, wasmPackage } from './paths.mjs'
import { run } from './process.mjs'
import { recipe } from './recipe.mjs'
import { step } from './steps.mjs'
import { ensureRust, ensureWasmBindgen, wasmBindgen } from './toolchain.mjs'

/** The crates that end up in the module. */
const CRATES = ['protocol', 'webrtc', 'node', 'web'].flatMap((crate) => [join(root, 'crates', crate, 'src'), join(root, 'crates', crate, 'Cargo.toml')])
const STEPS = ['binary.mjs', 'names.mjs', 'order.mjs'].map((step) => join(root, 'crates', 'web', 'build', step))
const INPUTS = [...CRATES, join(root, 'Cargo.toml'), join(root, 'Cargo.lock'), join(root, 'wasm-pack.toml'), ...STEPS]

const GLUE = join(wasmPackage, 'shoal_web.js')
const MODULE = join(wasmPackage, 'shoal_web_bg.wasm')

/**
 * Builds the wasm module, if something that it is made from changed.
 * @param {Promise<void>} [tools] When wasm-bindgen is there. Default: made sure of here, after compiling.
 */
export async function buildWasm(tools) {
  const compiler = await ensureRust()
  const { package: name, profile, bindgen_flags: flags } = recipe.build
  return unlessFresh('wasm', INPUTS, [GLUE, MODULE], () => compile(name, profile, flags, tools), compiler)
}

async function compile(name, profile, flags, tools) {
  const triple = recipe.toolchain.target
  await step('compiling the node to wasm', (report) =>
    cargo(['build', '--locked', '--profile', profile, '--target', triple, '-p', name, '--lib'], { report, tree: ['-p', name, '--target', triple] }),
  )
  await (tools ?? ensureWasmBindgen())
  await step('binding the wasm to JavaScript', () =>
    run(wasmBindgen, [...flags, '--out-dir', wasmPackage, join(target, triple, profile, `${name.replaceAll('-', '_')}.wasm`)]),
  )
  await step('making it smaller for its compression', async () => {
    const shortened = shortenImports(orderFunctions(await readFile(MODULE)), await readFile(GLUE, 'utf8'))
    await writeFile(MODULE, shortened.module)
    await writeFile(GLUE, shortened.glue)
  })
}
