// The programs that the build needs: a Rust compiler that can make wasm, and wasm-bindgen at exactly the version of its library.
import { join } from 'node:path'
import { cargo } from './cargo.mjs'
import { root, tools } from './paths.mjs'
import { run, tryCapture } from './process.mjs'
import { recipe } from './recipe.mjs'
import { step } from './steps.mjs'

/** Turns wasm from the compiler into wasm and JavaScript for a page. */
export const wasmBindgen = join(tools, 'bin', 'wasm-bindgen')
/** Serves wasm tests to a browser. */
export const wasmBindgenTestRunner = join(tools, 'bin', 'wasm-bindgen-test-runner')

const INSTALL_RUST = 'install Rust with rustup, which needs no root: https://rustup.rs (on Debian also: apt-get install rustup && rustup default stable)'

/**
 * Makes sure that Rust is there, new enough, and has the wasm target.
 * @returns {Promise<string>} The compiler's version.
 */
export async function ensureRust() {
  const version = await tryCapture('rustc', ['--version'])
  if (!version || !(await tryCapture('cargo', ['--version']))) throw new Error(`rustc or cargo not found: ${INSTALL_RUST}`)
  const [, major, minor] = /rustc (\d+)\.(\d+)/.exec(version) ?? []
  const [oldestMajor, oldestMinor] = recipe.toolchain.rust.split('.').map(Number)
  if (Number(major) < oldestMajor || (Number(major) === oldestMajor && Number(minor) < oldestMinor)) {
    throw new Error(`${version.trim()} is too old, ${recipe.toolchain.rust} is needed: run "rustup update stable"`)
  }
  const { target } = recipe.toolchain
  const libraries = (await tryCapture('rustc', ['--print', 'target-libdir', '--target', target]))?.trim()
  const { existsSync } = await import('node:fs')
  if (libraries && existsSync(libraries)) return version.trim()
  if (!(await tryCapture('rustup', ['--version']))) {
    throw new Error(`this Rust has no target ${target} and there is no rustup to add it: ${INSTALL_RUST}`)
  }
  await step(`adding the target ${target} to Rust`, () => run('rustup', ['target', 'add', target]))
  return version.trim()
}

/** Makes sure that wasm-bindgen lies in .tools at the pinned version. */
export async function ensureWasmBindgen() {
  const wanted = recipe.toolchain.wasm_bindgen
  if ((await tryCapture(wasmBindgen, ['--version']))?.trim() === `wasm-bindgen ${wanted}`) return
  await step(`installing wasm-bindgen ${wanted} from crates.io into .tools`, (report) =>
    cargo(['install', 'wasm-bindgen-cli', '--version', `=${wanted}`, '--locked', '--force', '--root', tools], {
      report,
      // It runs for a second a build: compiled fast rather than made fast (90 s instead of 7 minutes on two cores).
      env: {
        CARGO_PROFILE_RELEASE_OPT_LEVEL: '1',
        CARGO_PROFILE_RELEASE_LTO: 'off',
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
        CARGO_TARGET_DIR: join(root, 'target', 'tools'),
      },
    }),
  )
}
